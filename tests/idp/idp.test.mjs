// The stand-in tenant does what Auth0 does. If one of these fails, the end-to-end tests prove nothing.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { Visitor, decode, startIdp } from './visitor.mjs';
import { textOf } from './wire.mjs';

const AUDIENCE = 'https://api.acme.dev';
const CALLBACK = 'https://cms.localhost:8443/_doorward/callback/auth0';
const AFTER_LOGOUT = 'https://cms.localhost:8443/';
const web = {
  client_id: 'web',
  client_secret: 'web-secret',
  redirect_uris: [CALLBACK],
  post_logout_redirect_uris: [AFTER_LOGOUT],
};
const machine = { client_id: 'machine', client_secret: 'machine-secret', grant_types: ['client_credentials'] };

let idp;
before(async () => {
  idp = await startIdp({ clients: [web, machine], logout_urls: ['https://acme.dev/'] });
});
after(() => idp.stop());

const visitor = () => new Visitor(idp, web);
const signIn = async (options, extra) => {
  const someone = visitor();
  return someone.redeem(await someone.authorize(extra, options));
};

test('the issuer ends in a slash and discovery names the endpoints of Auth0', async () => {
  const metadata = await (await fetch(`${idp.issuer}.well-known/openid-configuration`)).json();
  assert.equal(metadata.issuer, idp.issuer);
  assert.match(idp.issuer, /^http:\/\/127\.0\.0\.1:\d+\/$/);
  const paths = ['authorization', 'token', 'userinfo', 'end_session']
    .map((name) => new URL(metadata[`${name}_endpoint`]).pathname);
  assert.deepEqual(paths, ['/authorize', '/oauth/token', '/userinfo', '/oidc/logout']);
});

test('iss comes to the callback exactly where discovery promises it', async () => {
  for (const iss of [true, false]) {
    await idp.control('config', { iss });
    const metadata = await (await fetch(`${idp.issuer}.well-known/openid-configuration`)).json();
    assert.equal(metadata.authorization_response_iss_parameter_supported ?? false, iss);
    const { callback } = await visitor().authorize();
    assert.equal(callback.iss, iss ? idp.issuer : undefined);
  }
});

test('a sign-in ends with an ID token and a JWT access token for the audience', async () => {
  const someone = visitor();
  const answer = await someone.authorize();
  assert.deepEqual(Object.keys(answer.callback).sort(), ['code', 'state'], 'no iss, as Auth0 by default');
  const tokens = await someone.redeem(answer);
  const id = decode(tokens.id_token).claims;
  assert.equal(id.iss, idp.issuer);
  assert.equal(id.aud, 'web');
  assert.equal(id.sub, 'auth0|ada');
  assert.equal(id.nonce, 'a nonce');
  assert.equal(id.email, 'ada@acme.dev');
  assert.deepEqual(id['https://acme.dev/roles'], ['admin']);
  const { header, claims } = decode(tokens.access_token);
  assert.equal(header.typ, 'JWT');
  assert.deepEqual(claims.aud, [AUDIENCE, `${idp.issuer}userinfo`]);
  assert.equal(claims.azp, 'web');
  assert.deepEqual(claims.permissions, ['read:items', 'write:items', 'device:read', 'device:admin']);
  assert.equal(tokens.refresh_token, undefined);
});

test('a second sign-in of the same browser shows no form', async () => {
  const someone = visitor();
  assert.equal((await someone.authorize()).sawForm, true);
  assert.equal((await someone.authorize()).sawForm, false);
});

test('without an audience the access token is opaque', async () => {
  const { access_token } = await signIn({}, { audience: '' });
  assert.equal(access_token.split('.').length, 1);
});

test('an unknown audience is refused at the callback', async () => {
  const { callback } = await visitor().authorize({ audience: 'https://nope' });
  assert.equal(callback.error, 'access_denied');
  assert.equal(callback.error_description, 'Service not found: https://nope');
});

test('a code works once, and only with its verifier', async () => {
  const someone = visitor();
  const answer = await someone.authorize();
  assert.equal((await someone.redeem(answer)).status, 200);
  assert.equal((await someone.redeem(answer)).error, 'invalid_grant');
  const other = { ...(await someone.authorize()), verifier: 'x'.repeat(43) };
  assert.equal((await someone.redeem(other)).error, 'invalid_grant');
});

test('a refresh token is rotated, and its reuse ends the family', async () => {
  const someone = visitor();
  const first = await someone.redeem(await someone.authorize({ scope: 'openid offline_access' }));
  const refresh = (refresh_token) => someone.token({ grant_type: 'refresh_token', refresh_token });
  const second = await refresh(first.refresh_token);
  assert.notEqual(second.refresh_token, first.refresh_token);
  assert.equal((await refresh(first.refresh_token)).error, 'invalid_grant');
  assert.equal((await refresh(second.refresh_token)).error, 'invalid_grant');
});

test('within the leeway two refreshes with the same token both succeed', async () => {
  await idp.control('config', { leeway: 3 });
  const someone = visitor();
  const { refresh_token } = await someone.redeem(await someone.authorize({ scope: 'openid offline_access' }));
  const both = await Promise.all([1, 2].map(() => someone.token({ grant_type: 'refresh_token', refresh_token })));
  assert.deepEqual(both.map(({ status }) => status), [200, 200]);
  await idp.control('config', { leeway: 0 });
});

test('an API token opens userinfo, a forged one does not', async () => {
  const { access_token } = await signIn({ user: 'eddie' });
  const userinfo = (token) => fetch(`${idp.issuer}userinfo`, { headers: { authorization: `Bearer ${token}` } });
  const claims = await (await userinfo(access_token)).json();
  assert.equal(claims.sub, 'auth0|eddie');
  assert.equal(claims.email, 'eddie@acme.dev');
  assert.equal((await userinfo(`${access_token.slice(0, -8)}AAAAAAAA`)).status, 401);
});

test('an organization reaches both tokens, and strangers to it are refused', async () => {
  const tokens = await signIn({}, { organization: 'org_acme' });
  assert.equal(decode(tokens.id_token).claims.org_id, 'org_acme');
  assert.equal(decode(tokens.access_token).claims.org_id, 'org_acme');
  const { callback } = await visitor().authorize({ organization: 'org_acme' }, { user: 'vera' });
  assert.equal(callback.error, 'access_denied');
});

test('a blocked user, a cancelled form and prompt=none come back as errors', async () => {
  const blocked = await visitor().authorize({}, { user: 'bruno' });
  assert.equal(blocked.callback.error, 'unauthorized');
  const cancelled = await visitor().authorize({}, { action: 'cancel' });
  assert.equal(cancelled.callback.error, 'access_denied');
  const silent = await visitor().authorize({ prompt: 'none' });
  assert.equal(silent.callback.error, 'login_required');
});

test('a machine gets a token for the audience it asks for, in form or JSON', async () => {
  const fields = { ...machine, grant_type: 'client_credentials', audience: AUDIENCE, scope: 'device:read', grant_types: undefined };
  const url = `${idp.issuer}oauth/token`;
  const bodies = [
    { body: new URLSearchParams(JSON.parse(JSON.stringify(fields))) },
    { body: JSON.stringify(fields), headers: { 'content-type': 'application/json' } },
  ];
  for (const body of bodies) {
    const { access_token } = await (await fetch(url, { method: 'POST', ...body })).json();
    const { claims } = decode(access_token);
    assert.equal(claims.aud, AUDIENCE);
    assert.equal(claims.sub, 'machine@clients');
    assert.equal(claims.gty, 'client-credentials');
    assert.equal(claims.scope, 'device:read');
  }
});

test('after a rotation the next key signs, and a dropped key is gone', async () => {
  const published = async () => {
    const { keys } = await (await fetch(`${idp.issuer}.well-known/jwks.json`)).json();
    return keys.map(({ kid }) => kid);
  };
  const [current, next] = await published();
  await idp.control('rotate');
  const { id_token } = await signIn();
  assert.equal(decode(id_token).header.kid, next);
  assert.ok((await published()).includes(current));
  await idp.control('rotate?drop');
  assert.ok(!(await published()).includes(next));
});

test('signing out ends the session and returns only to registered places', async () => {
  const someone = visitor();
  await someone.authorize();
  const leave = (path, query) => someone.go(`${idp.issuer}${path}?${new URLSearchParams(query)}`);
  const refused = await leave('v2/logout', { client_id: 'web', returnTo: 'https://evil.test/' });
  assert.equal(refused.status, 400);
  const left = await leave('v2/logout', { client_id: 'web', returnTo: AFTER_LOGOUT });
  assert.equal(left.headers.get('location'), AFTER_LOGOUT);
  const withQuery = await leave('v2/logout', { client_id: 'web', returnTo: `${AFTER_LOGOUT}?state=s` });
  assert.equal(withQuery.headers.get('location'), `${AFTER_LOGOUT}?state=s`);
  assert.equal((await someone.authorize({ prompt: 'none' })).callback.error, 'login_required');
  const tokens = await someone.redeem(await someone.authorize());
  const rp = await leave('oidc/logout', {
    id_token_hint: tokens.id_token,
    post_logout_redirect_uri: AFTER_LOGOUT,
    state: 'bye',
  });
  assert.equal(rp.headers.get('location'), `${AFTER_LOGOUT}?state=bye`);
  const tenant = await leave('v2/logout', { returnTo: 'https://acme.dev/' });
  assert.equal(tenant.headers.get('location'), 'https://acme.dev/');
});

test('who is named for it is told of a sign-out, also on a *.localhost', async () => {
  const told = new Promise((resolve) => {
    const app = createServer(async (req, res) => {
      res.end();
      app.close();
      resolve(new URLSearchParams(await textOf(req)).get('logout_token'));
    }).listen(0, '127.0.0.1', async () => {
      const backchannel_logout_uri = `http://app.localhost:${app.address().port}/`;
      const client = { ...web, backchannel_logout_uri, backchannel_logout_session_required: true };
      const other = await startIdp({ clients: [client] });
      const someone = new Visitor(other, client);
      const tokens = await someone.redeem(await someone.authorize());
      await someone.go(`${other.issuer}oidc/logout?${new URLSearchParams({ id_token_hint: tokens.id_token })}`);
      await other.stop();
    });
  });
  const { claims } = decode(await told);
  assert.equal(claims.aud, 'web');
  assert.ok(claims.sid && claims.events['http://schemas.openid.net/event/backchannel-logout']);
});

test('the clock can be moved, and requests are counted by path', async () => {
  await idp.control('forget');
  await idp.control('config', { skew_seconds: 3600 });
  const ahead = decode((await signIn()).id_token).claims.iat - Math.floor(Date.now() / 1000);
  await idp.control('config', { skew_seconds: 0 });
  assert.ok(Math.abs(ahead - 3600) < 30, `${ahead} s ahead`);
  const { counts } = await idp.control('log');
  assert.equal(counts['/oauth/token'], 1);
});

test('an outage answers every path but the control', async () => {
  await idp.control('config', { outage: 503 });
  assert.equal((await fetch(`${idp.issuer}.well-known/jwks.json`)).status, 503);
  await idp.control('config', { outage_paths: ['/oauth/token'] });
  assert.equal((await fetch(`${idp.issuer}.well-known/jwks.json`)).status, 200);
  assert.equal((await visitor().token({})).status, 503);
  await idp.control('config', { outage: 0, outage_paths: [] });
  assert.equal((await fetch(`${idp.issuer}.well-known/jwks.json`)).status, 200);
});
