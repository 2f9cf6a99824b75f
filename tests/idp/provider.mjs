// The certified provider, configured so that its tokens and claims are Auth0's.
import { Provider, errors } from 'oidc-provider';
import { NAMESPACE } from './tenant.mjs';

export const MULTI_FACTOR = 'http://schemas.openid.net/pape/policies/2007/06/multi-factor';

const OIDC_SCOPES = ['openid', 'profile', 'email', 'offline_access'];

/**
 * Keys are fixed at construction, so a rotation builds a new provider on the same store.
 * `organizationOfGrant` remembers which organization a grant was given in.
 */
export const buildProvider = ({ issuer, tenant, switches, store, keys, organizationOfGrant }) => {
  const organizationClaims = (grantId) => {
    const id = organizationOfGrant.get(grantId);
    return id ? { org_id: id, org_name: tenant.organizations[id].name } : {};
  };

  const idTokenClaims = (id, grantId) => {
    const { password, blocked, permissions, orgs, roles, ...profile } = tenant.users[id];
    return { sub: id, ...profile, [`${NAMESPACE}roles`]: roles, ...organizationClaims(grantId) };
  };

  const accessTokenClaims = (token) => {
    const user = tenant.users[token.accountId];
    if (!user) return {};
    return {
      [`${NAMESPACE}roles`]: user.roles,
      [`${NAMESPACE}email`]: user.email,
      // Auth0 adds them only where the API's token dialect ends in `_authz`.
      ...(switches.dialect.endsWith('_authz') ? { permissions: user.permissions } : {}),
      ...organizationClaims(token.grantId),
    };
  };

  const apiBy = (audience) => {
    const api = tenant.apis[audience];
    if (!api) throw new errors.CustomOIDCProviderError('access_denied', `Service not found: ${audience}`);
    return {
      scope: api.scope,
      audience,
      accessTokenFormat: 'jwt',
      accessTokenTTL: api.token_lifetime,
      jwt: { sign: { alg: api.signing_alg } },
    };
  };

  /** Auth0's own access token profile, unless the API asks for RFC 9068. */
  const shapeAccessToken = async (ctx, token, parts) => {
    const rfc9068 = switches.dialect.startsWith('rfc9068');
    parts.header = { typ: rfc9068 ? 'at+jwt' : 'JWT' };
    if (token.accountId) {
      const { AuthorizationCode, RefreshToken, DeviceCode } = ctx.oidc.entities;
      const granted = [...((AuthorizationCode ?? RefreshToken ?? DeviceCode)?.scopes ?? [])];
      const oidcScopes = granted.filter((scope) => OIDC_SCOPES.includes(scope));
      // Auth0 keeps the OIDC scopes in the API's token and lets it be used at /userinfo.
      parts.payload.scope = [...oidcScopes, parts.payload.scope].filter(Boolean).join(' ');
      if (oidcScopes.includes('openid')) parts.payload.aud = [parts.payload.aud, `${issuer}userinfo`];
    } else {
      parts.payload.sub = `${token.clientId}@clients`;
      parts.payload.gty = 'client-credentials';
    }
    if (!rfc9068) {
      parts.payload.azp = parts.payload.client_id;
      delete parts.payload.client_id;
      delete parts.payload.jti;
    }
  };

  const apiTokenLifetime = (ctx, token) => token.resourceServer?.accessTokenTTL ?? 86400;

  const provider = new Provider(issuer, {
    adapter: store,
    clients: tenant.clients,
    jwks: { keys: keys.all },
    cookies: { keys: ['a provider for tests'] },
    routes: {
      authorization: '/authorize',
      token: '/oauth/token',
      userinfo: '/userinfo',
      jwks: '/.well-known/jwks.json',
      end_session: '/oidc/logout',
      revocation: '/oauth/revoke',
      pushed_authorization_request: '/oauth/par',
      device_authorization: '/oauth/device/code',
      registration: '/oidc/register',
    },
    scopes: ['openid', 'offline_access'],
    claims: {
      openid: ['sub', 'amr', 'org_id', 'org_name', `${NAMESPACE}roles`],
      profile: ['name', 'nickname', 'given_name', 'family_name', 'picture', 'updated_at'],
      email: ['email', 'email_verified'],
      acr: null,
      auth_time: null,
      iss: null,
      sid: null,
    },
    // Auth0 puts the profile into the ID token itself.
    conformIdTokenClaims: false,
    acrValues: [MULTI_FACTOR],
    extraParams: ['audience', 'connection', 'organization', 'invitation', 'screen_hint'],
    pkce: { required: (ctx, client) => client.clientAuthMethod === 'none' },
    rotateRefreshToken: true,
    // A code outlives the session that gave it: two tabs that sign in at once replace each other's session.
    expiresWithSession: async () => false,
    issueRefreshToken: async (ctx, client, code) =>
      client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
    ttl: {
      AccessToken: apiTokenLifetime,
      ClientCredentials: apiTokenLifetime,
      AuthorizationCode: 60,
      IdToken: 36000,
      Interaction: 600,
      RefreshToken: 30 * 86400,
      Grant: 30 * 86400,
      Session: 7 * 86400,
    },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      dPoP: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      revocation: { enabled: true, allowedPolicy: async () => true },
      rpInitiatedLogout: {
        enabled: true,
        // The skin answers this form itself; a browser never sees it.
        logoutSource: async (ctx, form) => { ctx.body = form; },
        postLogoutSuccessSource: async (ctx) => { ctx.body = 'OK'; },
      },
      resourceIndicators: {
        enabled: true,
        // Otherwise the token endpoint falls back to an opaque token for /userinfo.
        useGrantedResource: async () => true,
        defaultResource: async (ctx, client, oneOf) => (Array.isArray(oneOf) ? oneOf[0] : undefined),
        getResourceServerInfo: async (ctx, audience) => apiBy(audience),
      },
    },
    formats: { customizers: { jwt: shapeAccessToken } },
    extraTokenClaims: async (ctx, token) => accessTokenClaims(token),
    findAccount: async (ctx, id, token) =>
      tenant.users[id] && { accountId: id, claims: async () => idTokenClaims(id, token?.grantId) },
    interactions: { url: (ctx, interaction) => `/u/login?state=${interaction.uid}` },
    renderError: async (ctx, out) => {
      ctx.type = 'json';
      ctx.body = out;
    },
    // The provider refuses loopback addresses for back-channel logout; here everything is on loopback.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  });
  provider.use(async (ctx, next) => {
    await next();
    // oidc-provider always promises `iss` in the callback (RFC 9207). Who promises it must send it.
    if (ctx.oidc?.route === 'discovery' && !switches.iss) {
      delete ctx.body.authorization_response_iss_parameter_supported;
    }
  });
  return provider;
};
