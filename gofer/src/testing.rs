//! What the programs' own tests have in common.

/// The lines that `command` and its subcommands print behind their options and that do not fit on a terminal of the
/// usual width, where they would be broken.
pub fn wide_lines(command: &clap::Command) -> Vec<String> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let own = text.lines().filter(|line| line.chars().count() > 80).map(str::to_owned).collect::<Vec<_>>();
    own.into_iter().chain(command.get_subcommands().flat_map(wide_lines)).collect()
}
