// Tabs of one browser start to sign in before any of them has finished; each ends where it began.
import { fillForm, freshContext, main, must, settings } from './visit.mjs';

await main(async (browser) => {
  const context = await freshContext(browser);
  const tabs = await Promise.all([1, 2, 3].map(() => context.newPage()));
  const targets = [1, 2, 3].map((number) => `${settings.cms}/articles/${number}`);
  await Promise.all(tabs.map((tab, i) => tab.goto(targets[i])));
  const [first, second, late] = tabs;

  // At the same time, in the other order.
  await Promise.all([fillForm(second, 'ada'), fillForm(first, 'ada')]);
  await Promise.all([first.waitForURL(targets[0]), second.waitForURL(targets[1])]);

  // The third still shows the form, and comes when the others have a session already.
  await fillForm(late, 'ada');
  await late.waitForURL(targets[2]);
  for (const tab of tabs) must((await tab.textContent('body')).includes('ada@acme.dev'), `${tab.url()} does not know who it is`);

  const path = (tab) => new URL(tab.url()).pathname;
  return { first: path(first), second: path(second), late: path(late) };
});
