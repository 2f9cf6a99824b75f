// Chromium as the tests use it: settings from the environment, one report on standard output, nothing left running.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { chromium } from 'playwright-core';

export const settings = JSON.parse(process.env.DOORWARD_BROWSER_TEST);

/** Every step of a page has so long. */
const PATIENCE = 20_000;

const launching = {
  executablePath: settings.chromium,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // The edge listens on IPv4 alone, and nothing here is for any other host.
    '--host-resolver-rules=MAP *.localhost 127.0.0.1, MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  ],
};

/** A browser with a folder of its own, in which somebody has set `preferences`. */
export const withPreferences = async (folder, preferences) => {
  await mkdir(path.join(folder, 'Default'), { recursive: true });
  await writeFile(path.join(folder, 'Default', 'Preferences'), JSON.stringify(preferences));
  const context = await chromium.launchPersistentContext(folder, { ...launching, ignoreHTTPSErrors: true });
  context.setDefaultTimeout(PATIENCE);
  return context;
};

/**
 * Runs `script` with a browser, prints what it answers as one line of JSON, and ends with 0; or prints to standard
 * error what failed and ends with 1.
 */
export const main = async (script) => {
  const browser = await chromium.launch(launching);
  try {
    console.log(JSON.stringify(await script(browser)));
  } catch (problem) {
    console.error(problem);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
};

/** A browser that nobody has used. Its certificate store does not know the tests' authority. */
export const freshContext = async (browser, options = {}) => {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  context.setDefaultTimeout(PATIENCE);
  return context;
};

/** Whether this page is the provider's sign-in form. */
export const atForm = (page, issuer = settings.issuer) => page.url().startsWith(`${issuer}u/login`);

/** Fills in the provider's form. */
export const fillForm = async (page, persona) => {
  await page.getByLabel('Email address').fill(`${persona}@acme.dev`);
  await page.getByLabel('Password').fill(settings.password);
  await page.getByRole('button', { name: 'Continue' }).click();
};

/**
 * Opens a page and signs in where the provider asks.
 * Answers the status of the last page and whether the form was shown.
 */
export const openAs = async (page, persona, url) => {
  let status;
  const remember = (response) => {
    const isPage = response.request().isNavigationRequest() && response.frame() === page.mainFrame();
    if (isPage && (response.status() < 300 || response.status() >= 400)) status = response.status();
  };
  page.on('response', remember);
  await page.goto(url);
  const asked = atForm(page);
  if (asked) {
    await fillForm(page, persona);
    await page.waitForURL((now) => now.origin !== new URL(settings.issuer).origin);
  }
  await page.waitForLoadState();
  page.off('response', remember);
  return { status, asked };
};

/** Doorward's cookies in this browser. */
export const ourCookies = async (context) =>
  (await context.cookies()).filter(({ name }) => /^__(Host|Secure)-doorward/.test(name));

/** Signs out at the provider, in a tab of its own that is closed again. */
export const leaveProvider = async (context) => {
  const page = await context.newPage();
  await page.goto(`${settings.issuer}v2/logout`).catch(() => {});
  await page.close();
};

/** Fails with `message` unless `condition` holds. */
export const must = (condition, message) => {
  if (!condition) throw new Error(message);
};
