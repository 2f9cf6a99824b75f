// Eight tabs begin to sign in before any has finished, more than a browser keeps attempts for; each ends on its own page.
import { fillForm, freshContext, main, settings } from './visit.mjs';

await main(async (browser) => {
  const context = await freshContext(browser);
  const tabs = await Promise.all([...Array(8).keys()].map(() => context.newPage()));
  const targets = tabs.map((_, number) => `${settings.app}/page/${number}?of=${number}&and=%26`);
  for (const [number, tab] of tabs.entries()) await tab.goto(targets[number]);

  // The oldest first, whose attempt has given way to younger ones; then two by two; then the youngest, and the rest at once.
  const finish = async (number) => {
    await fillForm(tabs[number], 'ada');
    await tabs[number].waitForURL(targets[number]);
  };
  await finish(0);
  await Promise.all([6, 2].map(finish));
  await finish(7);
  await Promise.all([1, 5, 3, 4].map(finish));
  const who = await Promise.all(tabs.map((tab) => tab.textContent('#who')));
  return { urls: tabs.map((tab) => tab.url()).filter((url, number) => url === targets[number]).length, who: [...new Set(who)] };
});
