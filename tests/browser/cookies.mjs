// A damaged session is no dead end, and signing out leaves nothing of ours.
import { atForm, freshContext, main, must, openAs, ourCookies, settings } from './visit.mjs';

const SESSION = '__Host-doorward';

await main(async (browser) => {
  const context = await freshContext(browser);
  const page = await context.newPage();
  await openAs(page, 'eddie', `${settings.cms}/articles`);

  const session = (await ourCookies(context)).find(({ name }) => name === SESSION);
  must(session, 'there is no session cookie');
  must(session.httpOnly && session.secure && session.sameSite === 'Lax' && session.path === '/', JSON.stringify(session));
  const half = session.value.slice(0, session.value.length / 2);
  await context.addCookies([{ ...session, value: half }]);

  const again = await openAs(page, 'eddie', `${settings.cms}/articles`);
  const renewed = (await ourCookies(context)).find(({ name }) => name === SESSION);
  const signed_in_anew = again.status === 200 && !again.asked && renewed?.value.length > half.length;

  // With the page's own button, as a person does.
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL((url) => url.origin === settings.cms && url.pathname === '/');
  const left_over = (await ourCookies(context)).map(({ name }) => name);

  await page.goto(`${settings.cms}/articles`);
  return { signed_in_anew, left_over, asked_again: atForm(page) };
});
