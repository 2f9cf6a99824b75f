// What follows `#` survives the way to sign-in, on a route that asks for it; a step-up leads back as well.
import { atForm, fillForm, freshContext, main, must, openAs, settings } from './visit.mjs';

await main(async (browser) => {
  const context = await freshContext(browser);
  const page = await context.newPage();
  const target = `${settings.frag}/page/panel?x=1#/devices/7?tab=a&b=%20c`;
  await page.goto(target);
  await page.waitForURL((url) => url.href.startsWith(settings.issuer));
  await fillForm(page, 'ada');
  await page.waitForURL((url) => url.origin === settings.frag && url.pathname === '/page/panel');
  const fragment = page.url();
  const who = await page.textContent('#who');

  // The provider knows her and gives what it has; told to ask again, it asks for more.
  await openAs(page, 'ada', `${settings.app}/page/plain`);
  const before = page.url();
  await page.goto(`${settings.app}/vault/page?sum=1`);
  await page.locator('main a.button').first().click();
  await page.waitForURL((url) => url.href.startsWith(settings.issuer));
  const asked = atForm(page);
  must(asked, `not asked: ${page.url()}`);
  await fillForm(page, 'ada');
  await page.waitForURL(`${settings.app}/vault/page?sum=1`);
  const again = await openAs(page, 'ada', `${settings.app}/vault/page?sum=2`);
  return { fragment: fragment === target, who, before, asked, stepped_up: again };
});
