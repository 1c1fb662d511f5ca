//! The pages with the keyboard alone: no mouse, no touch. With Chromium and its driver (Debian: `chromium-driver`); `OSTROM_NO_BROWSER=1`
//! leaves these tests out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

#[path = "common/chromium.rs"]
mod chromium;
mod common;

use chromium::Chromium;
use common::{PASSWORD, TestNode};
use reqwest::Method;
use serde_json::{Value, json};

const TAB: char = '\u{e004}';
const SHIFT: char = '\u{e008}';
const ENTER: char = '\u{e007}';
const DOWN: char = '\u{e015}';
const SPACE: char = ' ';
/// More stops than any page has.
const STOPS: usize = 300;

/// What has the focus, whether it is what is looked for, and whether one can see that it has.
const FOCUS: &str = "const e = document.activeElement;
    if (!e || e === document.body) return null;
    const s = getComputedStyle(e), box = e.getBoundingClientRect();
    const drawn = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 && !/^rgba.*, 0\\)$/.test(s.outlineColor);
    const inside = box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
    return {what: e.outerHTML.slice(0, 200), drawn, inside, opaque: s.opacity !== '0' && s.visibility === 'visible',
        found: e.matches(arguments[0]), main: document.querySelector('main').contains(e)};";

struct Keyboard(Chromium);

impl Keyboard {
    /// As wide as this, in pixels.
    async fn screen(&self, width: u32) {
        let metrics = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics});
        self.0.ask(Method::POST, "/goog/cdp/execute", command).await;
    }

    /// The next stop of the tabulator; `None` where it leaves the page.
    async fn tab(&self, selector: &str) -> Option<Value> {
        self.stop(&[TAB], selector).await
    }

    async fn stop(&self, keys: &[char], selector: &str) -> Option<Value> {
        self.0.press(keys).await;
        let focus = self.0.script(FOCUS, json!([selector])).await;
        if focus.is_null() {
            return None;
        }
        let visible = focus["drawn"] == true && focus["inside"] == true && focus["opaque"] == true;
        assert!(visible, "{}: one cannot see that this has the focus: {focus}", self.0.url().await);
        Some(focus)
    }

    /// Goes on until this has the focus.
    async fn to(&self, selector: &str) {
        for _ in 0..STOPS {
            if self.tab(selector).await.is_some_and(|focus| focus["found"] == true) {
                return;
            }
        }
        panic!("{}: the tabulator never comes to {selector}", self.0.url().await);
    }

    /// Goes back until this has the focus.
    async fn back_to(&self, selector: &str) {
        for _ in 0..STOPS {
            if self.stop(&[SHIFT, TAB], selector).await.is_some_and(|focus| focus["found"] == true) {
                return;
            }
        }
        panic!("{}: the tabulator never comes back to {selector}", self.0.url().await);
    }

    async fn write(&self, selector: &str, text: &str) {
        self.to(selector).await;
        for key in text.chars() {
            self.0.press(&[key]).await;
        }
    }

    /// Chooses the radio button of this name that is `steps` below the first.
    async fn choose(&self, name: &str, steps: usize) -> Value {
        self.to(&format!("[name={name}]")).await;
        self.0.press(&[SPACE]).await;
        for _ in 0..steps {
            self.0.press(&[DOWN]).await;
        }
        let script = "return document.querySelector(`[name=${arguments[0]}]:checked`)?.value";
        self.0.script(script, json!([name])).await
    }
}

#[tokio::test]
async fn somebody_signs_in_looks_around_and_reports_a_flaw_without_a_mouse() {
    let Some(chromium) = Chromium::start().await else { return };
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let flaw = ada.flaw("shared", "clear", "Repeats its system prompt").await;
    let keys = Keyboard(chromium);
    keys.screen(1280).await;
    keys.0.go(&format!("{}/sign-in?next=/flaws", ada.origin)).await;
    keys.write("[name=email]", "ada@institute.example").await;
    keys.write("[name=password]", PASSWORD).await;
    keys.0.press(&[ENTER]).await;
    keys.0.until_at("/flaws").await;
    keys.0.until_says("Repeats its system prompt").await;

    // The first stop leads past the menu.
    let first = keys.tab("a.skip").await.unwrap();
    assert_eq!(first["found"], true, "{first}");
    keys.0.press(&[ENTER]).await;
    keys.0.until_at("#main").await;
    let next = keys.tab("*").await.unwrap();
    assert_eq!(next["main"], true, "after skipping: {next}");

    // The menu, and from there a flaw.
    keys.back_to("nav a[href='/techniques']").await;
    keys.0.press(&[ENTER]).await;
    keys.0.until_at("/techniques").await;
    keys.to("nav a[href='/flaws']").await;
    keys.0.press(&[ENTER]).await;
    keys.0.until_at("/flaws").await;
    keys.to(&format!("main a[href='/flaws/{flaw}']")).await;
    keys.0.press(&[ENTER]).await;
    keys.0.until_at(&flaw).await;
    // Every stop of the page shows, to the last, and the page lets go of the focus again.
    let mut stops = 0;
    while keys.tab("*").await.is_some() {
        stops += 1;
        assert!(stops < STOPS, "the focus is caught");
    }
    assert!(stops > 20, "{stops}");

    // A form and the page on which one looks at it again.
    keys.0.go(&format!("{}/flaws", ada.origin)).await;
    keys.0.until_says("Report a flaw").await;
    keys.to("main a[href='/flaws/new']").await;
    keys.0.press(&[ENTER]).await;
    keys.0.until_at("/flaws/new").await;
    keys.write("[name=title]", "Obeys invoices").await;
    keys.write("[name=description]", "When they are in mauve.").await;
    keys.write("[name=model]", "Fennec").await;
    let severity = keys.choose("severity", 1).await;
    let tlp = keys.choose("tlp", 1).await;
    keys.to("main form button").await;
    keys.0.press(&[ENTER]).await;
    keys.0.until_says("Who will be able to read it").await;
    keys.to("main form button[value=save]").await;
    keys.0.press(&[SPACE]).await;
    keys.0.until_at("done=saved").await;
    keys.0.until_says("Obeys invoices").await;
    let id = keys.0.url().await.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let kept = ada.get(&format!("/api/v1/objects/{id}")).await.json();
    assert_eq!(kept["labels"][0], format!("severity:{}", severity.as_str().unwrap()), "{kept}");
    let why = ada.get(&format!("/api/v1/objects/{id}/why")).await.json();
    assert_eq!(why["tlp"].as_str().unwrap().to_lowercase(), format!("tlp:{}", tlp.as_str().unwrap()));
    keys.0.stop().await;
    node.stop().await;
}

#[tokio::test]
async fn on_a_narrow_screen_the_menu_opens_and_closes_without_a_mouse() {
    let Some(chromium) = Chromium::start().await else { return };
    let node = TestNode::start().await;
    let keys = Keyboard(chromium);
    keys.screen(380).await;
    keys.0.go(&format!("{}/flaws", node.browser().origin)).await;
    keys.to("a.menu-open").await;
    keys.0.press(&[ENTER]).await;
    keys.0.until_at("#menu").await;
    keys.to("a.menu-close").await;
    keys.0.press(&[ENTER]).await;
    keys.0.until_at("#main").await;
    // While it is closed nothing in it takes the focus, which nobody would see.
    let closed = "return getComputedStyle(document.querySelector('nav a[href=\"/techniques\"]')).visibility !== 'visible' \
        || document.querySelector('nav a[href=\"/techniques\"]').getClientRects().length === 0";
    assert_eq!(keys.0.script(closed, json!([])).await, true);
    keys.to("a.menu-open").await;
    keys.0.press(&[ENTER]).await;
    keys.0.until_at("#menu").await;
    keys.to("nav a[href='/techniques']").await;
    keys.0.press(&[ENTER]).await;
    keys.0.until_at("/techniques").await;
    keys.0.stop().await;
    node.stop().await;
}
