// A form that somebody filled in while the session ended: kept, offered again after sign-in, sent on a click and not before.
import { atForm, fillForm, freshContext, leaveProvider, main, must, openAs, settings } from './visit.mjs';

const TEXT = 'Café <b>"&amp;" 100% + 1\n\nsecond = line; ☃';

await main(async (browser) => {
  const context = await freshContext(browser);
  const page = await context.newPage();
  const counter = await context.newPage();
  const posts = async () => {
    await counter.goto(`${settings.app}/public/posts`);
    return Number(await counter.textContent('body'));
  };
  const fill = async () => {
    await openAs(page, 'ada', `${settings.app}/form`);
    await page.locator('input[name=title]').fill('"quoted" & <tagged>');
    await page.locator('textarea').fill(TEXT);
  };
  // As it is without all that.
  await fill();
  await Promise.all([page.waitForURL(`${settings.app}/orders**`), page.getByRole('button', { name: 'Send' }).click()]);
  const sent = [await posts()];

  await fill();
  await leaveProvider(context);
  await page.waitForTimeout(1500);
  const [refusal] = await Promise.all([
    page.waitForResponse((response) => response.url().startsWith(`${settings.app}/orders`)),
    page.getByRole('button', { name: 'Send' }).click(),
  ]);
  await page.waitForLoadState();
  sent.push(await posts());
  await page.locator('a.button').click();
  await page.waitForURL((url) => url.href.startsWith(settings.issuer));
  must(atForm(page), `not at the form: ${page.url()}`);
  await fillForm(page, 'ada');
  await page.waitForURL((url) => url.pathname === '/_doorward/resume');
  // Nothing is sent by itself, and looking again changes nothing.
  await page.waitForTimeout(700);
  await page.reload();
  sent.push(await posts());
  await Promise.all([page.waitForURL(`${settings.app}/orders**`), page.locator('form[action^="/orders"] button').click()]);
  sent.push(await posts());
  return { refusal: refusal.status(), sent, answer: await page.textContent('body'), url: page.url() };
});
