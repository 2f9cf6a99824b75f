// Every page of Doorward's own, at two widths and in both colour schemes: a screenshot each, and what is wrong with it.
import path from 'node:path';
import { atForm, fillForm, freshContext, main, must, openAs, settings } from './visit.mjs';

const WIDTHS = [1200, 380];
const SCHEMES = ['light', 'dark'];

const control = (switches) => fetch(`${settings.issuer}__test/config`, {
  method: 'POST',
  body: JSON.stringify(switches),
});

/** How to get to each page, as somebody with a browser of their own. */
const pages = {
  forbidden: (page) => openAs(page, 'vera', `${settings.cms}/admin/`),
  'provider-refused': (page) => openAs(page, 'bruno', `${settings.cms}/articles`),
  // Typed into the address bar, so it asks first.
  'sign-out': async (page) => {
    await openAs(page, 'ada', `${settings.cms}/articles`);
    await page.goto(`${settings.cms}/_doorward/logout`);
  },
  // With no session there is nothing to end at the provider.
  'signed-out': async (page) => {
    await page.goto(`${settings.cms}/_doorward/logout`);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await page.waitForLoadState();
    must(await page.getByRole('button', { name: 'Sign out', exact: true }).count() === 0, 'asked again instead of signing out');
  },
  'stale-callback': (page) => page.goto(`${settings.cms}/_doorward/callback/auth0?code=stale&state=stale`),
  unavailable: async (page) => {
    await page.goto(`${settings.cms}/articles`);
    must(atForm(page), `not at the form: ${page.url()}`);
    await control({ outage: 503, outage_paths: ['/oauth/token'] });
    try {
      await fillForm(page, 'ada');
      await page.waitForURL((url) => url.origin === settings.cms);
      await page.waitForLoadState();
    } finally {
      await control({ outage: 0, outage_paths: [] });
    }
  },
  whoami: async (page) => {
    await openAs(page, 'ada', `${settings.cms}/articles`);
    await page.goto(`${settings.cms}/_doorward/whoami`);
    must((await page.textContent('main')).includes('ada@acme.dev'), 'whoami does not say who');
  },
};

/** What a reader, with eyes or without, would complain about. */
const inspect = () => {
  const problems = [];
  const expect = (condition, problem) => { if (!condition) problems.push(problem); };
  const root = document.documentElement;
  expect(root.lang !== '', 'no language');
  expect(document.title.trim() !== '', 'no title');
  expect(document.querySelectorAll('h1').length === 1, 'not exactly one h1');
  expect(document.querySelector('main'), 'no main landmark');
  expect(document.querySelectorAll('script').length === 0, 'a script');
  expect(root.scrollWidth <= window.innerWidth, `${root.scrollWidth} px wide in ${window.innerWidth}`);
  for (const control of document.querySelectorAll('a[href], button')) {
    const { height } = control.getBoundingClientRect();
    expect(control.textContent.trim() !== '', 'a link or button without words');
    expect(height >= 18, `a control ${height} px high: ${control.textContent.trim()}`);
  }

  // WCAG 2.2 §1.4.3, for text on plain colours. The canvas turns any notation of a colour into numbers.
  const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [R, G, B] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * R + 0.7152 * G + 0.0722 * B;
  };
  // A detached canvas knows nothing of the page's colour scheme; an element of the page does.
  const probe = document.body.appendChild(document.createElement('span'));
  probe.style.backgroundColor = 'Canvas';
  const canvasColour = channels(getComputedStyle(probe).backgroundColor);
  probe.remove();
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return canvasColour;
  };
  for (const element of document.querySelectorAll('body *')) {
    const speaks = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (!speaks || element.checkVisibility?.() === false) continue;
    const style = getComputedStyle(element);
    const [light, dark] = [luminance(channels(style.color)), luminance(background(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    expect(ratio >= (large ? 3 : 4.5), `contrast ${ratio.toFixed(2)}: ${element.textContent.trim().slice(0, 40)}`);
  }
  return problems;
};

await main(async (browser) => {
  const problems = [];
  let screenshots = 0;
  for (const [name, open] of Object.entries(pages)) {
    const context = await freshContext(browser);
    const page = await context.newPage();
    await open(page);
    must(new URL(page.url()).origin === settings.cms, `${name}: not a page of ours: ${page.url()}`);
    const complain = (text) => problems.push(`${name}: ${text}`);
    page.on('pageerror', (problem) => complain(problem.message));
    page.on('console', (message) => { if (/Content.Security.Policy/i.test(message.text())) complain(message.text()); });
    for (const width of WIDTHS) {
      for (const scheme of SCHEMES) {
        await page.setViewportSize({ width, height: 800 });
        await page.emulateMedia({ colorScheme: scheme });
        await page.screenshot({ path: path.join(settings.screenshots, `${name}-${width}-${scheme}.png`), fullPage: true });
        screenshots += 1;
        for (const problem of await page.evaluate(inspect)) complain(`${width} ${scheme}: ${problem}`);
      }
    }
    await context.close();
  }
  return { pages: Object.keys(pages), screenshots, problems };
});
