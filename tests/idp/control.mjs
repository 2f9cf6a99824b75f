// What a test may ask of the provider, below /__test/, and what the provider tells about itself.
import { json, textOf } from './wire.mjs';

/** How the tenant behaves; `POST /__test/config` sets any of these. */
export const defaultSwitches = () => ({
  // Seconds for which a rotated refresh token may be used once more.
  leeway: 0,
  // access_token, access_token_authz, rfc9068_profile or rfc9068_profile_authz, as Auth0 names them.
  dialect: 'access_token_authz',
  // Send `iss` to the callback (RFC 9207). Auth0 does not unless told to.
  iss: false,
  // Answer with this status, everywhere outside /__test/ or only at these paths. 0: work.
  outage: 0,
  outage_paths: [],
  // Wait this long before every answer.
  delay_ms: 0,
  // How far the provider's clock is ahead of everyone else's.
  skew_seconds: 0,
});

export class RequestLog {
  entries = [];

  /** Remembers a request once it is answered. Query and body stay out: they carry codes and secrets. */
  watch(req, res, path) {
    res.on('close', () => this.entries.push({ method: req.method, path, status: res.statusCode }));
  }

  /** Requests for each path. */
  counts() {
    const counts = {};
    for (const { path } of this.entries) counts[path] = (counts[path] ?? 0) + 1;
    return counts;
  }
}

const trueNow = Date.now;

/** oidc-provider and jose read the time from `Date.now`, so moving that moves every `iat` and `exp`. */
export const skewClock = (seconds) => {
  Date.now = () => trueNow() + seconds * 1000;
};

export const makeControl = ({ switches, keys, log, rebuild }) => async (req, res, path, query) => {
  switch (path) {
    // ?drop also withdraws the key that signed so far.
    case '/__test/rotate': {
      const kids = keys.rotate({ drop: query.has('drop') });
      rebuild();
      json(res, kids);
      return;
    }
    case '/__test/config': {
      const wanted = JSON.parse((await textOf(req)) || '{}');
      const unknown = Object.keys(wanted).filter((key) => !(key in switches));
      if (unknown.length > 0) {
        res.writeHead(400).end(`unknown switches: ${unknown.join(', ')}`);
        return;
      }
      Object.assign(switches, wanted);
      skewClock(switches.skew_seconds);
      json(res, switches);
      return;
    }
    case '/__test/log':
      json(res, { counts: log.counts(), entries: log.entries });
      return;
    case '/__test/forget':
      log.entries.length = 0;
      json(res, {});
      return;
    default:
      res.writeHead(404).end();
  }
};
