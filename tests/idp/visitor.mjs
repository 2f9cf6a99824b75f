// The provider as a test sees it: started as a process of its own, visited by a browser made of fetch.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const IDP = fileURLToPath(new URL('idp.mjs', import.meta.url));

/** Starts the provider with these settings; `stop()` ends it. */
export const startIdp = async (settings) => {
  const child = spawn(process.execPath, [IDP, '-'], { stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.write(`${JSON.stringify(settings)}\n`);
  const ready = await new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the provider ended with ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('ready ')) resolve(JSON.parse(line.slice('ready '.length)));
    });
  });
  const control = async (path, body) => (await fetch(`${ready.issuer}__test/${path}`, {
    method: 'POST',
    body: body && JSON.stringify(body),
  })).json();
  const stop = () => new Promise((resolve) => { child.once('exit', resolve).stdin.end(); });
  return { ...ready, control, stop };
};

/** Header and claims of a JWT, nothing verified. */
export const decode = (jwt) => {
  const [header, claims] = jwt.split('.').slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
  return { header, claims };
};

export class Visitor {
  #cookies = new Map();

  constructor(idp, client) {
    this.idp = idp;
    this.client = client;
  }

  async go(url, options = {}) {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { redirect: 'manual', ...options, headers: { cookie, ...options.headers } });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return response;
  }

  /**
   * Walks from /authorize to the callback, signing in as `user` where the form is shown.
   * Answers the callback's parameters, the PKCE verifier, and whether the form was shown.
   */
  async authorize(extra = {}, { user = 'ada', action = 'default' } = {}) {
    const verifier = randomBytes(32).toString('base64url');
    const redirectUri = this.client.redirect_uris[0];
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: this.client.client_id,
      redirect_uri: redirectUri,
      scope: 'openid profile email',
      audience: 'https://api.acme.dev',
      state: 'a state',
      nonce: 'a nonce',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      ...extra,
    });
    for (const [name, value] of [...query]) if (value === '') query.delete(name);
    let url = `${this.idp.issuer}authorize?${query}`;
    let sawForm = false;
    for (let hop = 0; hop < 12; hop += 1) {
      let response = await this.go(url);
      if (response.status === 200) {
        sawForm = true;
        response = await this.go(url, {
          method: 'POST',
          body: new URLSearchParams({ username: `${user}@acme.dev`, password: 'demo', action }),
        });
      }
      const location = response.headers.get('location');
      if (!location) throw new Error(`${response.status} at ${url}: ${await response.text()}`);
      url = new URL(location, url).href;
      if (url.startsWith(redirectUri)) {
        return { callback: Object.fromEntries(new URL(url).searchParams), verifier, sawForm };
      }
    }
    throw new Error(`still not at the callback: ${url}`);
  }

  /** The token endpoint, as this client. */
  async token(fields) {
    const { client_id, client_secret } = this.client;
    const response = await fetch(`${this.idp.issuer}oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({ client_id, client_secret, ...fields }),
    });
    return { status: response.status, ...(await response.json()) };
  }

  async redeem({ callback, verifier }) {
    return this.token({
      grant_type: 'authorization_code',
      code: callback.code,
      redirect_uri: this.client.redirect_uris[0],
      code_verifier: verifier,
    });
  }
}
