//! Several files of HAProxy's, which are one configuration.

use std::path::Path;

use stickler_advisor::{Document, Language, Remedy, Texts, read};
use stickler_runner::Diagnostic;

const DEFAULTS: &str = "defaults\n    mode http\n    option http-server-close\n    http-reuse always\n";
const SITE: &str = "frontend www\n    bind :80\n    default_backend farm\n";
const FARM: &str = "backend farm\n    http-reuse safe\n    server a 10.0.0.1:80\n    server b 10.0.0.2:80\n";

/// The files `/1`, `/2` and so on with these texts.
fn configuration(texts: &[&str]) -> Result<Box<dyn Document>, Box<Diagnostic>> {
    let names: Vec<String> = (1..=texts.len()).map(|number| format!("/{number}")).collect();
    let named: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(texts.iter().copied()).collect();
    let paths: Vec<&Path> = names.iter().map(Path::new).collect();
    read(Language::HaProxy, &paths, &Texts::new(&named), Some("2.6.12"))
}

fn refusal(texts: &[&str]) -> String {
    configuration(texts).err().map_or_else(String::new, |error| error.to_string())
}

#[test]
fn defaults_hold_in_the_files_after_theirs_and_each_fact_has_its_file() {
    let document = configuration(&[DEFAULTS, SITE, FARM]).unwrap();
    let site = &document.sites()[0];
    let places: Vec<String> = site.reasons.iter().filter_map(|(place, _)| Some(place.as_ref()?.to_string())).collect();
    assert!(places.contains(&"/1:3".into()) && site.servers == 2, "{:#?}", site.reasons);
    let late = configuration(&[SITE, FARM, DEFAULTS]).unwrap();
    assert_eq!(late.sites()[0].base, "haproxy-tcp", "nothing stands above that says `mode http`");
}

#[test]
fn a_line_of_the_copy_stands_for_one_of_a_file() {
    let document = configuration(&[DEFAULTS, SITE, FARM]).unwrap();
    let copy = document.sandbox(0).template;
    let line = copy.lines().position(|line| line.contains("backend farm") && !line.contains("default")).unwrap() + 1;
    assert_eq!(document.place(line).map(|place| place.to_string()).as_deref(), Some("/3:1"), "{copy}");
    assert_eq!((document.place(0), document.place(1_000)), (None, None));
}

/// HAProxy becomes nobody where it is root's, whatever user the file names, and only where it can.
#[test]
fn a_copy_has_no_user_of_the_files_and_one_without_rights() {
    let copy = configuration(&["global\n    user evil\n    group evil\n", SITE, FARM]).unwrap().sandbox(0).template;
    assert!(!copy.contains("evil"), "{copy}");
    assert!(copy.contains("{% if nobody %}\n    uid {{ nobody }}\n    gid {{ nobody }}\n{% endif %}"), "{copy}");
}

#[test]
fn a_remedy_changes_the_files_that_have_to_change_alone() {
    let remedies = configuration(&[DEFAULTS, SITE, FARM]).unwrap().remedies(0);
    let Remedy::Edit { files, .. } = &remedies[0] else { panic!("{remedies:#?}") };
    let changed: Vec<(&str, String)> = files.iter().map(|file| (&*file.path, file.after.clone())).collect();
    let www = SITE.replace("www\n", "www\n    option http-keep-alive\n");
    let farm = FARM.replace("farm\n    http-reuse safe", "farm\n    option http-keep-alive\n    http-reuse never");
    assert_eq!(changed, [("/2", www), ("/3", farm)]);
    // A file whose lines end in two ways stays as it is where nothing in it changes.
    let mixed = configuration(&["defaults\r\n    mode http\n", SITE, FARM]).unwrap().remedies(0);
    let Remedy::Edit { files, .. } = &mixed[0] else { panic!("{mixed:#?}") };
    assert_eq!(files.iter().map(|file| &*file.path).collect::<Vec<_>>(), ["/3"]);
}

/// <https://docs.haproxy.org/2.6/management.html#3>, `-f`: each file must start on a section boundary.
#[test]
fn a_section_and_a_condition_end_with_their_file() {
    let said = refusal(&["listen a\n    bind :80\n", "    server a 10.0.0.1:80\n"]);
    assert!(said.contains("/2:1:5") && said.contains("begin with a section"), "{said}");
    assert_eq!(refusal(&["listen a\n    bind :80\n    server a 10.0.0.1:80\n", "# nothing\n\n"]), "");
    // Of the first file, HAProxy itself says so.
    assert_eq!(refusal(&["    server a 10.0.0.1:80\n"]), "");
    let open =
        configuration(&["global\n.if version_below(1.0)\n", "listen a\n    bind :80\n    server a 10.0.0.1:80\n"]);
    assert_eq!(open.unwrap().sites().len(), 1);
}

#[test]
fn variables_of_one_file_are_known_in_the_next() {
    let document = configuration(&[
        "global\n    setenv HOW never\n",
        "listen a\n    mode http\n    bind :80\n    http-reuse \"$HOW\"\n    server a 10.0.0.1:80\n",
    ]);
    assert_eq!(document.unwrap().sites()[0].base, "haproxy-never");
}
