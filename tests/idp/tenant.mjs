// The tenant: who can sign in, to what, from where. Settings replace whole sections of it.

/** The namespace of custom claims, as an Auth0 Action would set them. */
export const NAMESPACE = 'https://acme.dev/';

/** The password of everybody. */
const PASSWORD = 'demo';

const person = (given, family, nickname, rest) => ({
  password: PASSWORD,
  email: `${nickname}@acme.dev`,
  email_verified: true,
  name: `${given} ${family}`,
  nickname,
  given_name: given,
  family_name: family,
  picture: `http://127.0.0.1/${nickname}.png`,
  updated_at: '2026-01-05T09:00:00.000Z',
  roles: [],
  permissions: [],
  orgs: [],
  ...rest,
});

// The first three have the rights of the demo's personas, so that the sample apps treat them alike.
const users = {
  'auth0|ada': person('Ada', 'Admin', 'ada', {
    roles: ['admin'],
    permissions: ['read:items', 'write:items', 'device:read', 'device:admin'],
    orgs: ['org_acme'],
  }),
  'auth0|eddie': person('Eddie', 'Editor', 'eddie', {
    roles: ['editor'],
    permissions: ['read:items', 'write:items', 'device:read'],
    orgs: ['org_acme'],
  }),
  'auth0|vera': person('Vera', 'Viewer', 'vera', {
    roles: ['viewer'],
    permissions: ['read:items', 'device:read'],
    // Not a member of the organization: whoever asks for org_acme must see her refused.
    orgs: [],
  }),
  'auth0|bruno': person('Bruno', 'Blocked', 'bruno', { blocked: true }),
  // A subject with everything that breaks paths, topics and headers when it is not escaped.
  'google-oauth2|evil/+/#': person('Evelyn', 'Escape', 'evelyn', { email_verified: false }),
};

const organizations = {
  org_acme: { name: 'acme' },
  org_other: { name: 'other' },
};

const apis = {
  'https://api.acme.dev': {
    scope: 'read:items write:items device:read device:admin',
    token_lifetime: 86400,
    signing_alg: 'RS256',
  },
  'https://other-api.acme.dev': { scope: 'other:read', token_lifetime: 86400, signing_alg: 'RS256' },
};

const defaults = {
  // 0: any free one.
  port: 0,
  // The port in its own addresses, where a test put something in between. 0: its own.
  named_port: 0,
  users,
  organizations,
  apis,
  // See `client()` for what each may say.
  clients: [],
  // Where /v2/logout may send a browser when no client_id is given.
  logout_urls: [],
};

/** A web application unless it says otherwise. */
const client = (written) => {
  const machine = written.grant_types?.includes('client_credentials') ?? false;
  return {
    redirect_uris: [],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: machine ? [] : ['code'],
    token_endpoint_auth_method: written.client_secret ? 'client_secret_post' : 'none',
    ...written,
  };
};

export const tenantFrom = (settings) => {
  const unknown = Object.keys(settings).filter((key) => !(key in defaults));
  if (unknown.length > 0) throw new Error(`unknown settings: ${unknown.join(', ')}`);
  const tenant = { ...defaults, ...settings };
  tenant.clients = tenant.clients.map(client);
  return tenant;
};

/** The tenant's user who signs in with this name and password, as `[id, user]`. */
export const userBy = (tenant, name, password) =>
  Object.entries(tenant.users).find(([id, user]) => [id, user.email].includes(name) && user.password === password);
