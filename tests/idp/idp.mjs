// A certified OpenID provider (oidc-provider) dressed as an Auth0 tenant, for tests on loopback.
//
//   node idp.mjs settings.json     runs until it is stopped
//   node idp.mjs -                 reads one line of settings from standard input, and ends when that closes,
//                                  so that it cannot outlive the test that started it
//
// Settings are JSON: port, named_port, clients, users, organizations, apis, logout_urls; see tenant.mjs. Once it listens it prints
// `ready {"issuer": …, "port": …, "pid": …}`; everything else it says goes to standard error. What a test may ask of it
// while it runs is in control.mjs.
import dns from 'node:dns';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { tenantFrom } from './tenant.mjs';
import { makeStore } from './store.mjs';
import { SigningKeys } from './keys.mjs';
import { buildProvider } from './provider.mjs';
import { RequestLog, defaultSwitches } from './control.mjs';
import { makeSkin } from './skin.mjs';

console.info = console.error;

// Who is told of a sign-out is on loopback too, whatever the system's resolver says (RFC 6761 §6.3).
const { lookup } = dns;
dns.lookup = (name, ...rest) => lookup(name.endsWith('.localhost') ? '127.0.0.1' : name, ...rest);

const firstLineOfInput = () => new Promise((resolve, reject) => {
  const lines = createInterface({ input: process.stdin });
  lines.once('line', resolve);
  lines.once('close', () => reject(new Error('standard input closed before the settings came')));
  process.stdin.once('close', () => process.exit(0));
});

const source = process.argv[2];
if (!source) {
  console.error('usage: node idp.mjs SETTINGS.json | -');
  process.exit(2);
}
const tenant = tenantFrom(JSON.parse(source === '-' ? await firstLineOfInput() : await readFile(source, 'utf8')));

// The issuer contains the port, so the port has to be ours before the provider can be built.
const server = createServer();
await new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(tenant.port, '127.0.0.1', resolve);
});
const { port } = server.address();
const origin = `http://127.0.0.1:${tenant.named_port || port}`;
// With a slash at the end, as every Auth0 issuer.
const issuer = `${origin}/`;

const switches = defaultSwitches();
const keys = new SigningKeys();
const organizationOfGrant = new Map();
const store = makeStore(switches);
let provider;
let handler;
const rebuild = () => {
  provider = buildProvider({ issuer, tenant, switches, store, keys, organizationOfGrant });
  handler = provider.callback();
};
rebuild();

const answer = makeSkin({
  origin,
  issuer,
  tenant,
  switches,
  keys,
  organizationOfGrant,
  log: new RequestLog(),
  rebuild,
  provider: () => provider,
  handler: () => handler,
});
server.on('request', (req, res) => {
  answer(req, res).catch((problem) => {
    console.error(problem);
    if (!res.headersSent) res.writeHead(500);
    res.end();
  });
});
console.log(`ready ${JSON.stringify({ issuer, port, pid: process.pid })}`);
