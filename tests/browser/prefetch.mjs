// A browser that looks ahead begins no sign-in; who then goes there does.
import { atForm, fillForm, freshContext, main, ourCookies, settings } from './visit.mjs';

await main(async (browser) => {
  const context = await freshContext(browser);
  const page = await context.newPage();
  const seen = {};
  context.on('response', (response) => {
    const { pathname } = new URL(response.url());
    if (pathname.startsWith('/page/')) seen[pathname] = response.status();
  });
  await page.goto(`${settings.app}/public/prefetch`);
  await page.waitForTimeout(1500);
  const cookies = (await ourCookies(context)).length;
  await page.getByRole('link', { name: 'ahead' }).click();
  await page.waitForURL((url) => url.href.startsWith(settings.issuer));
  const asked = atForm(page);
  await fillForm(page, 'ada');
  await page.waitForURL(`${settings.app}/page/ahead`);
  return { seen, cookies, asked, who: await page.textContent('#who') };
});
