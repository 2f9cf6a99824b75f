// Every page as the templates make it, in front of axe: two widths, both colour schemes; then every language where it is
// narrowest, text at twice its size, the keyboard, and the one page with a script.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { freshContext, main, must, settings } from './visit.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WIDTHS = [1200, 320];
const SCHEMES = ['light', 'dark'];

const wide = () => {
  const { scrollWidth } = document.documentElement;
  return scrollWidth > window.innerWidth ? `${scrollWidth} px wide in ${window.innerWidth}` : '';
};

/** What axe finds, best practices included, one line each. */
const violations = async (page) => {
  const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'], preload: false }));
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`));
};

/** The stops of the Tab key that show nothing when it is on them. */
const unseen = async (page) => {
  const stops = await page.locator('a[href], button, input:not([type=hidden]), summary').count();
  const missed = [];
  for (let stop = 0; stop < stops; stop += 1) {
    await page.keyboard.press('Tab');
    missed.push(...await page.evaluate(() => {
      const at = document.activeElement;
      if (at === document.body) return ['the Tab key does not get to every control'];
      const { outlineStyle, outlineWidth } = getComputedStyle(at);
      return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 ? [] : [`focus does not show on ${at.outerHTML}`];
    }));
  }
  return missed;
};

await main(async (browser) => {
  const problems = [];
  const context = await freshContext(browser);
  const page = await context.newPage();
  // Where the page with the script goes: it stays, so that it can be looked at.
  await page.route(/login/, (route) => route.fulfill({ status: 204 }));
  let about;
  const complain = (text) => problems.push(`${about}: ${text}`);
  page.on('pageerror', (problem) => complain(problem.message));
  page.on('console', (message) => { if (/Content.Security.Policy/i.test(message.text())) complain(message.text()); });
  const open = async (name, language) => {
    about = `${name} ${language}`;
    await page.goto(`${settings.pages}/${language}/${name}`, { waitUntil: 'commit' });
    await page.locator('main, h1').first().waitFor();
    must(await page.locator('h1').count() === 1, `${about}: not a page of ours`);
  };

  for (const name of settings.names) {
    await open(name, 'en');
    await page.evaluate(axe);
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme });
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 800 });
        await page.screenshot({ path: path.join(settings.screenshots, `${name}-${width}-${colorScheme}.png`), fullPage: true });
        for (const problem of [await page.evaluate(wide), ...await violations(page)].filter(Boolean)) complain(`${width} ${colorScheme}: ${problem}`);
      }
    }
    for (const problem of await unseen(page)) complain(problem);
    // WCAG 2.2 §1.4.4.
    await page.setViewportSize({ width: 640, height: 800 });
    await page.evaluate(() => { document.documentElement.style.fontSize = '200%'; });
    const large = await page.evaluate(wide);
    if (large) complain(`with text of twice the size: ${large}`);
    await page.emulateMedia({ reducedMotion: 'reduce' });
    const moving = await page.evaluate(() => [...document.querySelectorAll('*')].filter((element) => {
      const { transitionDuration, animationName } = getComputedStyle(element);
      return transitionDuration !== '0s' || animationName !== 'none';
    }).length);
    if (moving) complain(`${moving} elements move for somebody who asked for stillness`);
  }

  await page.setViewportSize({ width: 320, height: 800 });
  await page.emulateMedia({ colorScheme: 'light' });
  for (const language of settings.languages) {
    for (const name of settings.names) {
      await open(name, language);
      const overflow = await page.evaluate(wide);
      if (overflow) complain(overflow);
      if (settings.all_screenshots) {
        await page.screenshot({ path: path.join(settings.screenshots, `${name}-${language}.png`), fullPage: true });
      }
    }
  }

  // The script takes the fragment along; without scripts the link still leads to the sign-in.
  await page.unroute(/login/);
  await page.goto(`${settings.pages}/en/fragment#/devices/7?tab=a&b`);
  await page.waitForURL(/login/);
  const taken = page.url().slice(settings.pages.length);
  await page.goto('about:blank');
  const still = await (await freshContext(browser, { javaScriptEnabled: false })).newPage();
  await still.goto(`${settings.pages}/en/fragment#x`);
  const link = await still.getAttribute('a.button', 'href');
  return { pages: settings.names.length, problems, taken, link };
});
