//! `thalweg completion bash|zsh|fish`: completion of tools and options, for `thalweg TOOL` and for `kafka-TOOL.sh`, made
//! from the tables that the tools themselves read.

use crate::options::{Argument, Opt};
use crate::tool::TOOLS;

/// The script for a shell, or `None` if it is not one of the three.
pub fn script(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash()),
        // zsh reads bash's through its own emulation.
        "zsh" => Some(format!("autoload -Uz bashcompinit && bashcompinit\n{}", bash())),
        "fish" => Some(fish()),
        _ => None,
    }
}

fn bash() -> String {
    let mut cases = String::new();
    for tool in TOOLS {
        let (mut words, mut taking) = (Vec::new(), Vec::new());
        for option in tool.spec.options {
            words.push(format!("--{}", option.name));
            if option.argument == Argument::Required {
                taking.push(format!("--{}", option.name));
            }
        }
        cases +=
            &format!("    {}) options='{}' taking='{}' ;;\n", tool.name, words.join(" "), taking.join(" "));
    }
    let tools: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
    let scripts: Vec<String> = tools.iter().map(|tool| format!("kafka-{tool}.sh")).collect();
    format!(
        "_thalweg() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} tool=${{1##*/}} options= taking=
  tool=${{tool#kafka-}} tool=${{tool%.sh}}
  if [ \"$tool\" = thalweg ]; then
    tool=${{COMP_WORDS[1]}}
    if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W '{tools} completion help version' -- \"$word\")); return; fi
  fi
  case $tool in
{cases}    completion) options='bash zsh fish' ;;
  esac
  # What follows such an option is the user's to know; a file is the best guess.
  if [[ \" $taking \" == *\" $before \"* ]]; then COMPREPLY=($(compgen -f -- \"$word\")); return; fi
  COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))
}}
complete -F _thalweg thalweg {scripts}
",
        tools = tools.join(" "),
        scripts = scripts.join(" ")
    )
}

fn fish() -> String {
    let mut lines = String::new();
    for tool in TOOLS {
        let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        lines += &format!(
            "complete -c thalweg -n __fish_use_subcommand -f -a {} -d {}\n",
            tool.name,
            quoted(tool.summary)
        );
        for option in tool.spec.options {
            let Opt { name, description, .. } = option;
            let takes = if option.argument == Argument::Required { " -r" } else { "" };
            let described = quoted(description);
            lines += &format!(
                "complete -c thalweg -n '__fish_seen_subcommand_from {}' -l {name}{takes} -d {described}\n",
                tool.name
            );
            lines += &format!("complete -c kafka-{}.sh -l {name}{takes} -d {described}\n", tool.name);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_every_tool_is_completed() {
        for shell in ["bash", "zsh", "fish"] {
            let script = script(shell).unwrap();
            for tool in TOOLS {
                assert!(script.contains(&format!("kafka-{}.sh", tool.name)), "{shell}: {}", tool.name);
                for option in tool.spec.options {
                    let word = if shell == "fish" {
                        format!("-l {} ", option.name)
                    } else {
                        format!("--{}", option.name)
                    };
                    assert!(script.contains(&word), "{shell}: {} {}", tool.name, option.name);
                }
            }
        }
        assert!(script("csh").is_none());
    }

    #[test]
    fn bash_accepts_the_script_and_completes() {
        let line = format!(
            "{}\nCOMP_WORDS=(kafka-topics.sh --bootstrap-server x --excl) COMP_CWORD=3\n_thalweg kafka-topics.sh\n\
             echo \"${{COMPREPLY[*]}}\"",
            bash()
        );
        let done = std::process::Command::new("bash").arg("-c").arg(line).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "--exclude-internal", "{done:?}");
    }
}
