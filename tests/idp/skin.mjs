// Auth0's manners, put over oidc-provider: requests are bent to what it understands, answers to what Auth0 says.
import { INNER, makeLogout } from './logout.mjs';
import { makeLogin } from './login.mjs';
import { makeControl } from './control.mjs';
import { json, textOf } from './wire.mjs';

const scopesOf = (params) => (params.get('scope') ?? '').split(' ');

/** Auth0 calls it `audience`, RFC 8707 `resource`. */
const audienceAsResource = (params) => {
  if (params.has('audience') && !params.has('resource')) params.append('resource', params.get('audience'));
};

/** oidc-provider gives a refresh token only after `prompt=consent`; Auth0 needs no prompt for its own applications. */
const offlineAccessWithoutPrompt = (params) => {
  if (scopesOf(params).includes('offline_access') && !params.has('prompt')) params.set('prompt', 'consent');
};

const bendAuthorize = (req, url) => {
  const params = url.searchParams;
  audienceAsResource(params);
  if (!params.has('request_uri')) offlineAccessWithoutPrompt(params);
  req.url = `${url.pathname}?${params}`;
};

/** Form or JSON, as Auth0 takes both. oidc-provider accepts a body that was read before it, if the headers still fit. */
const bendForm = async (req, path) => {
  const text = await textOf(req);
  const isJson = (req.headers['content-type'] ?? '').includes('json');
  const form = new URLSearchParams(isJson ? JSON.parse(text) : text);
  audienceAsResource(form);
  if (path === '/oauth/token') form.delete('audience');
  else offlineAccessWithoutPrompt(form);
  req.body = Object.fromEntries(form);
  req.headers['content-type'] = 'application/x-www-form-urlencoded';
  req.headers['content-length'] = String(Buffer.byteLength(form.toString()));
  delete req.headers['transfer-encoding'];
};

/** Auth0 sends no `iss` to the callback by default; oidc-provider always does. */
const withoutIss = (res) => {
  const setHeader = res.setHeader.bind(res);
  res.setHeader = (name, value) => {
    const stripped = name.toLowerCase() === 'location' && typeof value === 'string';
    return setHeader(name, stripped ? value.replace(/[?&]iss=[^&]*$/, '') : value);
  };
};

export const makeSkin = (parts) => {
  const { origin, issuer, tenant, switches, keys, log, provider, handler } = parts;
  const login = makeLogin(parts);
  const logout = makeLogout(parts);
  const control = makeControl(parts);

  /** An API's access token works at /userinfo when it was also issued for it. Answers false for any other token. */
  const userinfoByJwt = (req, res) => {
    const token = (req.headers.authorization ?? '').replace(/^(Bearer|DPoP) /, '');
    if (token.split('.').length !== 3) return false;
    const claims = keys.claimsOf(token);
    const user = tenant.users[claims?.sub];
    if (!user || ![claims.aud].flat().includes(`${issuer}userinfo`)) {
      res.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' }).end('Unauthorized');
      return true;
    }
    const scopes = scopesOf(new URLSearchParams({ scope: claims.scope }));
    const { name, nickname, picture, updated_at, email, email_verified } = user;
    json(res, {
      sub: claims.sub,
      ...(scopes.includes('profile') ? { name, nickname, picture, updated_at } : {}),
      ...(scopes.includes('email') ? { email, email_verified } : {}),
      'https://acme.dev/roles': user.roles,
    });
    return true;
  };

  return async (req, res) => {
    const url = new URL(req.url, origin);
    const path = url.pathname;
    if (path.startsWith('/__test/')) {
      await control(req, res, path, url.searchParams);
      return;
    }
    const inner = INNER in req.headers;
    if (!inner) {
      log.watch(req, res, path);
      if (switches.delay_ms > 0) await new Promise((done) => { setTimeout(done, switches.delay_ms); });
      const down = switches.outage_paths.length === 0 || switches.outage_paths.includes(path);
      if (switches.outage > 0 && down) {
        res.writeHead(switches.outage, { 'content-type': 'application/json' }).end('{"error":"temporarily_unavailable"}');
        return;
      }
    }

    if (path === '/u/login') {
      await login(req, res, url.searchParams.get('state'));
      return;
    }
    if (path === '/v2/logout') {
      await logout.v2(req, res, url.searchParams);
      return;
    }
    if (path === '/oidc/logout' && req.method === 'GET' && !inner) {
      await logout.oidc(req, res, url.searchParams);
      return;
    }
    if (path === '/userinfo' && userinfoByJwt(req, res)) return;

    if (path === '/authorize' && req.method === 'GET') bendAuthorize(req, url);
    if (['/oauth/token', '/oauth/par'].includes(path) && req.method === 'POST') await bendForm(req, path);
    if (path.startsWith('/.well-known/')) {
      res.setHeader('cache-control', 'public, max-age=15, stale-while-revalidate=15, stale-if-error=86400');
    }
    if (!switches.iss) withoutIss(res);
    handler()(req, res);
  };
};
