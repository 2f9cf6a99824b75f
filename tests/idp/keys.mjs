// Signing keys, published as Auth0 does: the one that signs, the next one, and the previous ones until they are revoked.
import { createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto';

const newKey = () => ({
  ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
  use: 'sig',
  alg: 'RS256',
  kid: randomBytes(16).toString('base64url'),
});

export class SigningKeys {
  // oidc-provider signs with the first key that fits, so the order is the meaning.
  all = [newKey(), newKey()];

  /** The next key signs from now on. The one that signed stays published, unless it is dropped as after a leak. */
  rotate({ drop }) {
    const [previous, next, ...older] = this.all;
    this.all = drop ? [next, newKey()] : [next, newKey(), previous, ...older];
    return this.all.map((key) => key.kid);
  }

  /** The claims of a JWT that one of these keys signed and that has not expired; otherwise undefined. */
  claimsOf(jwt) {
    const [head, payload, signature] = jwt.split('.');
    const key = this.all.find(({ kid }) => kid === decode(head).kid);
    if (!key) return undefined;
    const { kty, n, e } = key;
    const publicKey = createPublicKey({ key: { kty, n, e }, format: 'jwk' });
    const genuine = verify('sha256', Buffer.from(`${head}.${payload}`), publicKey, Buffer.from(signature, 'base64url'));
    const claims = decode(payload);
    return genuine && claims.exp > Date.now() / 1000 ? claims : undefined;
  }
}

const decode = (segment) => JSON.parse(Buffer.from(segment, 'base64url'));
