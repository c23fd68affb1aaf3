//! The page of a sweep in a browser.

use super::browser::{
    browser, check_figures, check_narrow, check_quiet, check_saved, keep_pictures,
};
use super::sweep::{PLACE, SWEEP, workspace};

#[test]
fn the_report_of_a_sweep_is_drawn_and_works() {
    let Some(mut browser) = browser() else { return };
    let workspace = workspace(SWEEP);
    workspace.babyllama("sweep run sweep.toml").done();
    browser.dress(1280, "light");
    browser.open(&workspace.path(&format!("{PLACE}/report.html")));
    check_figures(&mut browser);
    let figures = browser.value("document.querySelectorAll('figure.drawn').length");
    assert_eq!(figures, 5, "history, importance, slices, parallel coordinates, confirmation");
    assert_eq!(browser.value("document.querySelectorAll('.missing').length"), 0);
    workspace.babyllama(&format!("report {PLACE} --figures figures")).done();
    for figure in 0..5 {
        let figure = format!("document.querySelectorAll('figure.drawn')[{figure}]");
        check_saved(&mut browser, &workspace, &figure);
    }
    // A part is where its link leads to, and a recipe opens.
    browser.click("document.querySelector('nav a:last-child')");
    browser.until("location.hash === '#recipe' && scrollY > 0");
    browser.click("document.querySelector('#recipe summary')");
    browser.until("document.querySelector('#recipe details').open");
    check_narrow(&mut browser);
    keep_pictures(&mut browser, "sweep");
    check_quiet(&browser);
}
