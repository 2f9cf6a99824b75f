// What oidc-provider remembers, in memory: its adapter contract, plus Auth0's leeway for rotated refresh tokens.

export const makeStore = (switches) => {
  const records = new Map();
  const keysOfGrant = new Map();
  const sessionByUid = new Map();
  const deviceByUserCode = new Map();

  class Store {
    constructor(model) {
      this.model = model;
    }

    key(id) {
      return `${this.model}:${id}`;
    }

    async upsert(id, payload, secondsToLive) {
      const key = this.key(id);
      records.set(key, { payload, expires: Date.now() + secondsToLive * 1000 });
      if (payload.grantId) {
        const keys = keysOfGrant.get(payload.grantId) ?? new Set();
        keysOfGrant.set(payload.grantId, keys.add(key));
      }
      if (payload.uid && this.model === 'Session') sessionByUid.set(payload.uid, id);
      if (payload.userCode) deviceByUserCode.set(payload.userCode, id);
    }

    async find(id) {
      const record = records.get(this.key(id));
      if (!record || record.expires < Date.now()) return undefined;
      const payload = { ...record.payload };
      // Auth0's rotation overlap: for so long the previous refresh token stays usable.
      const sinceConsumed = Date.now() / 1000 - (payload.consumed ?? 0);
      if (this.model === 'RefreshToken' && sinceConsumed <= switches.leeway) delete payload.consumed;
      return payload;
    }

    async findByUid(uid) {
      return this.find(sessionByUid.get(uid));
    }

    async findByUserCode(code) {
      return this.find(deviceByUserCode.get(code));
    }

    async destroy(id) {
      records.delete(this.key(id));
    }

    async consume(id) {
      const record = records.get(this.key(id));
      if (record && !record.payload.consumed) record.payload.consumed = Math.floor(Date.now() / 1000);
    }

    async revokeByGrantId(grantId) {
      for (const key of keysOfGrant.get(grantId) ?? []) records.delete(key);
      keysOfGrant.delete(grantId);
    }
  }
  return Store;
};
