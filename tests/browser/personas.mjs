// Every persona signs in to the CMS and finds the IoT app open; the admin page is for Ada alone.
import { freshContext, main, must, openAs, settings } from './visit.mjs';

await main(async (browser) => {
  const report = {};
  for (const persona of ['ada', 'eddie', 'vera']) {
    const context = await freshContext(browser);
    const page = await context.newPage();

    const cms = await openAs(page, persona, `${settings.cms}/articles`);
    must(cms.status === 200, `${persona}: the CMS answered ${cms.status}`);
    must((await page.textContent('body')).includes(`${persona}@acme.dev`), `${persona}: the CMS does not know who it is`);
    const iot = await openAs(page, persona, `${settings.iot}/`);
    must(iot.status === 200, `${persona}: the IoT app answered ${iot.status}`);
    must((await page.textContent('body')).includes(`${persona}@acme.dev`), `${persona}: the IoT app does not know who it is`);

    const admin = await openAs(page, persona, `${settings.cms}/admin/`);
    const whoami = await openAs(page, persona, `${settings.cms}/_doorward/whoami`);
    must((await page.textContent('body')).includes(`${persona}@acme.dev`), `${persona}: whoami does not say who`);

    report[persona] = {
      forms: [cms, iot, admin, whoami].filter(({ asked }) => asked).length,
      admin: admin.status,
      whoami: whoami.status,
    };
    await context.close();
  }
  return report;
});
