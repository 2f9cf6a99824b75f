// After a sign-out no cookie of ours is left in the browser: not on the host where it happened, and on no other.
import { freshContext, main, must, openAs, ourCookies, settings } from './visit.mjs';

await main(async (browser) => {
  const context = await freshContext(browser);
  const page = await context.newPage();
  const [first, ...others] = settings.origins;
  // A sign-in under way, in another tab, that nobody finishes.
  const idle = await context.newPage();
  await idle.goto(`${first}/page/unfinished`);
  for (const origin of [first, ...others]) {
    const { status } = await openAs(page, 'ada', `${origin}/page`);
    must(status === 200, `${origin}: ${status} at ${page.url()}`);
  }
  const names = async () => (await ourCookies(context)).map(({ name, domain }) => `${domain} ${name.replace(/attempt\..*/, 'attempt')}`).sort();
  const before = await names();
  await page.goto(`${first}/page`);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL((url) => settings.origins.includes(url.origin) && url.pathname !== '/page');
  await page.waitForLoadState();
  const after = await names();
  // Nobody is let in anywhere: the provider asks.
  const refused = [];
  for (const origin of settings.origins) {
    await page.goto(`${origin}/page`);
    refused.push(page.url().startsWith(settings.issuer));
  }
  // What opened nothing is gone then.
  const sessions = (await names()).filter((name) => name.endsWith('-doorward'));
  return { before, after, refused, sessions };
});
