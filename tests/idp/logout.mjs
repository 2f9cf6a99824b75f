// Auth0 signs out in one redirect. oidc-provider shows a form in between, so the skin submits that form itself.
import { redirect } from './wire.mjs';

/** Marks the skin's own request, so that it reaches the provider instead of coming back here. */
export const INNER = 'x-inner';

export const makeLogout = ({ origin, tenant }) => {
  const endSession = async (req, query) => {
    const jar = new Map((req.headers.cookie ?? '').split(/; */).filter(Boolean).map((pair) => [pair.split('=')[0], pair]));
    const cookies = () => [...jar.values()].join('; ');

    const asked = await fetch(`${origin}/oidc/logout?${query}`, {
      headers: { cookie: cookies(), [INNER]: '1' },
      redirect: 'manual',
    });
    const text = await asked.text();
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(text)?.[1];
    if (!xsrf) return { refused: { status: asked.status, text } };

    for (const cookie of asked.headers.getSetCookie()) jar.set(cookie.split('=')[0], cookie.split(';')[0]);
    const confirmed = await fetch(`${origin}/oidc/logout/confirm`, {
      method: 'POST',
      headers: { cookie: cookies(), 'content-type': 'application/x-www-form-urlencoded', [INNER]: '1' },
      body: new URLSearchParams({ xsrf, logout: 'yes' }),
      redirect: 'manual',
    });
    return { location: confirmed.headers.get('location'), cookies: confirmed.headers.getSetCookie() };
  };

  const answer = (res, { refused, location, cookies }) => {
    if (refused) res.writeHead(refused.status, { 'content-type': 'application/json' }).end(refused.text);
    else redirect(res, location ?? `${origin}/`, { 'set-cookie': cookies });
  };

  /** `/oidc/logout`: OpenID Connect RP-Initiated Logout 1.0. */
  const oidc = async (req, res, query) => answer(res, await endSession(req, query));

  /**
   * `/v2/logout`: Auth0's own. With a client_id that client's URLs are allowed, without one the tenant's; query and
   * fragment do not count.
   */
  const v2 = async (req, res, query) => {
    const returnTo = query.get('returnTo');
    const clientId = query.get('client_id');
    const client = clientId && tenant.clients.find((known) => known.client_id === clientId);
    const allowed = clientId ? client?.post_logout_redirect_uris ?? [] : tenant.logout_urls;
    if (returnTo && !allowed.includes(returnTo.split(/[?#]/)[0])) {
      res.writeHead(400, { 'content-type': 'text/plain' })
        .end(`The "returnTo" querystring parameter "${returnTo}" is not defined as a valid URL in "Allowed Logout URLs"`);
      return;
    }
    const ended = await endSession(req, new URLSearchParams(clientId ? { client_id: clientId } : {}));
    answer(res, ended.refused ? ended : { ...ended, location: returnTo ?? (clientId && allowed[0]) ?? `${origin}/` });
  };

  return { oidc, v2 };
};
