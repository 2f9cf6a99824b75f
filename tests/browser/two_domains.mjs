// One sign-in for apps on two domains; a page to choose from where there are several providers.
import { atForm, fillForm, freshContext, main, must, openAs, settings } from './visit.mjs';

await main(async (browser) => {
  const context = await freshContext(browser);
  const page = await context.newPage();
  const [one, other] = settings.origins;

  // A host with two providers.
  await page.goto(`${settings.both}/page?x=3`);
  const choices = await page.locator('.choices a').allTextContents();
  await page.getByRole('link', { name: 'Acme staff' }).click();
  must(atForm(page, settings.second), `not at the second provider: ${page.url()}`);
  await fillForm(page, 'eddie');
  await page.waitForURL(`${settings.both}/page?x=3`);
  const chosen = await page.textContent('#who');

  // Two that know the first alone.
  const first = await openAs(page, 'ada', `${one}/page?x=1`);
  const there = await openAs(page, 'ada', `${other}/page?x=2`);
  const who = await page.textContent('#who');
  const url = page.url();
  await page.goto(`${settings.both}/page?x=4`);
  return { choices, chosen, first, there, who, url: url === `${other}/page?x=2`, still: await page.textContent('#who') };
});
