"""Files that would run, or steer a program, later and without being asked: the user's own word.

By name, at any depth and in any case: what lies in a repository below is as live as what lies on
top. A list can't be complete; what is not on it is only text until somebody runs it.
"""

NAMES = frozenset(
    {
        ".bashrc",
        ".bash_profile",
        ".bash_login",
        ".bash_logout",
        ".bash_aliases",
        ".profile",
        ".zshrc",
        ".zshenv",
        ".zprofile",
        ".zlogin",
        ".zlogout",
        ".kshrc",
        ".cshrc",
        ".tcshrc",
        ".login",
        ".logout",
        ".inputrc",
        ".envrc",
        ".direnv",
        ".xinitrc",
        ".xprofile",
        ".xsession",
        ".xsessionrc",
        ".vimrc",
        ".exrc",
        ".nvimrc",
        ".gvimrc",
        ".emacs",
        ".dir-locals.el",
        ".gdbinit",
        ".lldbinit",
        ".pythonrc",
        ".pythonrc.py",
        ".pdbrc",
        ".irbrc",
        ".rprofile",
        ".npmrc",
        ".yarnrc",
        ".yarnrc.yml",
        ".pnp.cjs",
        ".pnp.loader.mjs",
        ".pypirc",
        "pip.conf",
        ".condarc",
        ".gitmodules",
        ".gitconfig",
        ".gitattributes",
        ".hgrc",
        ".netrc",
        ".curlrc",
        ".wgetrc",
        ".pre-commit-config.yaml",
        ".gitlab-ci.yml",
        ".travis.yml",
        ".mcp.json",
        "mcp.json",
        ".cursorrules",
        ".windsurfrules",
        ".clinerules",
        ".aider.conf.yml",
        "agents.md",
        "claude.md",
        "gemini.md",
        "copilot-instructions.md",
        "sitecustomize.py",
        "usercustomize.py",
        "authorized_keys",
        "crontab",
    }
)
FOLDERS = frozenset(
    {
        ".vscode",
        ".idea",
        ".devcontainer",
        ".husky",
        ".claude",
        ".cursor",
        ".codex",
        ".gemini",
        ".continue",
        ".ssh",
        ".githooks",
        ".circleci",
        ".buildkite",
        "autostart",
        "systemd",
    }
)
"""Folders of which all is held."""

ENDINGS = (".pth", ".desktop", ".code-workspace")
REPOSITORY = frozenset({".git", ".hg", ".svn", ".jj"})
LIVE = frozenset({"hooks", "config", "config.worktree", "info", "hgrc", "modules", "worktrees"})
"""Of a repository's own folder: what makes its program run something."""


def runs_later(path: str) -> str:
    """Why a path must wait for the user's own word; "" if it need not."""
    parts = path.lower().split("/")
    name = parts[-1]
    for at, part in enumerate(parts):
        inner = parts[at + 1 :]
        if part in REPOSITORY and (not inner or inner[0] in LIVE):
            # A folder by itself does nothing; a file in its place points to another repository.
            return "it steers a version control system" if inner else ""
        if part in FOLDERS and inner:
            return f"what is in {part} runs or steers a program later"
        if part == "workflows" and at and parts[at - 1] == ".github":
            return "it would run on a server"
    if name in NAMES or name.endswith(ENDINGS):
        return "it would run or steer a program later"
    return ""
