// Auth0's sign-in page: one form, the refusals Auth0 makes, and no consent page.
import { userBy } from './tenant.mjs';
import { MULTI_FACTOR } from './provider.mjs';
import { formOf, redirect } from './wire.mjs';

const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.codePointAt(0)};`);

const page = (uid, hint, problem) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in | Acme</title>
<style>body { font: 1rem/1.5 sans-serif; max-width: 20rem; margin: 4rem auto } label, input, button { display: block; width: 100%; margin: .5rem 0 }</style>
<h1>Welcome</h1>
${problem ? `<p role="alert">${escape(problem)}</p>` : ''}
<form method="post" action="/u/login?state=${escape(uid)}">
<label>Email address <input name="username" value="${escape(hint)}" autocomplete="username" autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button name="action" value="default">Continue</button>
<button name="action" value="cancel">Cancel</button>
</form>
</html>`;

const notAMember = (id, organization) => `user ${id} is not part of the ${organization} organization`;

export const makeLogin = ({ tenant, organizationOfGrant, provider }) => async (req, res, uid) => {
  const interaction = await provider().Interaction.find(uid);
  if (!interaction) {
    res.writeHead(400, { 'content-type': 'text/plain' }).end('This sign-in has expired.');
    return;
  }
  const { prompt, params, session } = interaction;

  const resume = async (result) => {
    interaction.result = result;
    await interaction.save(Math.max(1, interaction.exp - Math.floor(Date.now() / 1000)));
    redirect(res, interaction.returnTo);
  };
  const refuse = (error, error_description) => resume({ error, error_description });
  const grant = async (accountId, result) => {
    const { Grant } = provider();
    const given = (interaction.grantId && (await Grant.find(interaction.grantId)))
      || new Grant({ accountId, clientId: params.client_id });
    given.addOIDCScope('openid profile email offline_access');
    for (const [audience, api] of Object.entries(tenant.apis)) given.addResourceScope(audience, api.scope);
    const grantId = await given.save();
    if (params.organization) organizationOfGrant.set(grantId, params.organization);
    else organizationOfGrant.delete(grantId);
    await resume({ ...result, consent: { grantId } });
  };

  const wanted = params.organization;
  if (wanted && !tenant.organizations[wanted]) {
    await refuse('invalid_request', 'parameter organization is invalid');
    return;
  }
  if (prompt.name === 'consent') {
    // Signed in already, and an application of the tenant itself: Auth0 asks nothing.
    const { accountId } = session;
    if (wanted && !tenant.users[accountId].orgs.includes(wanted)) await refuse('access_denied', notAMember(accountId, wanted));
    else await grant(accountId, {});
    return;
  }
  const show = (status, problem) => res
    .writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
    .end(page(uid, params.login_hint ?? '', problem));
  if (req.method !== 'POST') {
    show(200);
    return;
  }

  const form = await formOf(req);
  if (form.get('action') === 'cancel') {
    await refuse('access_denied', 'User did not authorize the request');
    return;
  }
  const [id, user] = userBy(tenant, form.get('username'), form.get('password')) ?? [];
  if (!user) show(400, 'Wrong email or password.');
  else if (user.blocked) await refuse('unauthorized', 'user is blocked');
  else if (wanted && !user.orgs.includes(wanted)) await refuse('access_denied', notAMember(id, wanted));
  else {
    const secondFactor = params.acr_values?.includes(MULTI_FACTOR) ? { acr: MULTI_FACTOR, amr: ['mfa'] } : {};
    await grant(id, { login: { accountId: id, ...secondFactor } });
  }
};
