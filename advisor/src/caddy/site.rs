//! Finds the `reverse_proxy` directives and their sites.

use super::parse::Directive;

/// A `reverse_proxy`, and the blocks that contain it.
#[derive(Debug)]
pub(super) struct Proxy<'a> {
    /// The site.
    pub(super) site: &'a Directive,
    /// The blocks of the site that contain it (`handle`, `route`), the outermost first.
    pub(super) within: Vec<&'a Directive>,
    pub(super) directive: &'a Directive,
}

/// Returns the global options, if there are any.
pub(super) fn options(blocks: &[Directive]) -> Option<&Directive> {
    blocks.iter().find(|block| block.name.is_empty())
}

/// Finds the proxies, in the order of the file.
pub(super) fn proxies(blocks: &[Directive]) -> Vec<Proxy<'_>> {
    let mut found = Vec::new();
    for site in blocks.iter().filter(|block| !block.name.is_empty()) {
        add(site, site, &mut Vec::new(), &mut found);
    }
    found
}

fn add<'a>(site: &'a Directive, block: &'a Directive, within: &mut Vec<&'a Directive>, found: &mut Vec<Proxy<'a>>) {
    for directive in block.body() {
        if directive.is("reverse_proxy") {
            found.push(Proxy { site, within: within.clone(), directive });
        } else if matches!(&*directive.name, "handle" | "handle_path" | "route") {
            within.push(directive);
            add(site, directive, within, found);
            within.pop();
        }
    }
}

impl<'a> Proxy<'a> {
    /// Returns the name of the site.
    pub(super) fn name(&self) -> String {
        format!("{}: reverse_proxy {}", self.site.name, self.upstreams().join(" ")).trim_end().to_owned()
    }

    /// Returns the addresses of the servers.
    pub(super) fn upstreams(&self) -> Vec<&'a str> {
        let own = self.directive.after_matcher().iter();
        let more = self.directive.body().iter().filter(|inner| inner.is("to")).flat_map(|inner| &inner.arguments);
        own.chain(more).map(String::as_str).collect()
    }

    /// Returns the line of its block with this name.
    pub(super) fn setting(&self, name: &str) -> Option<&'a Directive> {
        self.directive.inner(name)
    }

    /// Returns the line with this name in the block of its transport.
    pub(super) fn transport(&self, name: &str) -> Option<&'a Directive> {
        self.setting("transport")?.inner(name)
    }

    /// Returns the blocks through which its requests pass: the site, and those within it.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &'a Directive> + '_ {
        std::iter::once(self.site).chain(self.within.iter().copied())
    }

    /// Returns the addresses of the site.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &'a str> {
        self.site.name.split([' ', ',']).filter(|address| !address.is_empty())
    }

    /// Returns whether a block or a matcher decides which of the site's requests it gets.
    pub(super) fn is_conditional(&self) -> bool {
        let directives = self.within.iter().copied().chain([self.directive]);
        directives.into_iter().any(|directive| directive.matcher().is_some_and(|matcher| matcher != "*"))
    }
}
