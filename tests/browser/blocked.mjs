// A browser that keeps no cookies of the app's host ends on a page that says so, and not in a loop.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { atForm, fillForm, settings, withPreferences } from './visit.mjs';

const folder = await mkdtemp(path.join(tmpdir(), 'doorward-blocked-'));
const BLOCK = 2;
const context = await withPreferences(folder, {
  profile: { content_settings: { exceptions: { cookies: { [`https://[*.]${new URL(settings.app).hostname},*`]: { setting: BLOCK } } } } },
});
try {
  const page = await context.newPage();
  let rounds = 0;
  context.on('request', (request) => { if (request.url().startsWith(`${settings.issuer}authorize?`)) rounds += 1; });
  await page.goto(`${settings.app}/page`);
  if (atForm(page)) {
    await fillForm(page, 'ada');
    await page.waitForURL((url) => url.origin === settings.app);
  }
  await page.waitForLoadState();
  await page.waitForTimeout(500);
  const cookies = (await context.cookies(settings.app)).length;
  const text = await page.textContent('main');
  console.log(JSON.stringify({ rounds, cookies, text: text.replace(/\s+/g, ' ').trim(), at: new URL(page.url()).pathname }));
} catch (problem) {
  console.error(problem);
  process.exitCode = 1;
} finally {
  await context.close();
  await rm(folder, { recursive: true, force: true });
}
