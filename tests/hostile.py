"""Commands an attacker with a key may try."""

from __future__ import annotations

PATHS = (
    "", "/", ".", "..", "../hello", "/../../etc/passwd", "hello/../other", "hello/.git", "//hello", "hello//", "~root",
    "~/hello", "/etc/passwd", "C:\\hello",
    "hello\\", "hello;id", "hello$(id)", "hello`id`", "hello|id", "hello&", "Hello",
    "hello world", "-hello", "--upload-pack=id", "--help", "h", "hello-", "1hello", "h\u00e9llo", "a" * 41, "a" * 5000,
    "hello.git.git", "hello.git/", "*", "?", "hello*", "%2e%2e", "\u202ehello", "api", "localhost",
)  # fmt: skip
NOT_GIT = (
    *(f"git-receive-pack '{path}'" for path in PATHS),
    *(
        f"git-upload-pack '{path}'"
        for path in ("", "../x", "--exec=id", "hello'; id; '", "hello' 'other", "/hello/../x")
    ),
    "git-receive-pack hello",
    'git-receive-pack "hello"',
    "git-receive-pack  'hello'",
    " git-receive-pack 'hello'",
    "git-receive-pack 'hello' ",
    "git-receive-pack 'hello'\n",
    "git-receive-pack 'hello'\nid",
    "git-receive-pack 'hel\nlo'",
    "git-receive-pack 'hello\0'",
    "git-receive-pack --stateless-rpc 'hello'",
    "git-receive-pack 'hello' --advertise-refs",
    "git-receive-pack --exec=id 'hello'",
    "git-receive-pack 'hello';id",
    "git-receive-pack 'hello' && id",
    "git-receive-pack 'hello' | id",
    "git-receive-pack '$(id)'",
    "git-receive-pack",
    "git-upload-pack",
    "git-upload-archive 'hello'",
    "git-shell -c id",
    "git-lfs-authenticate hello upload",
    "git receive-pack 'hello'",
    "git upload-pack 'hello'",
    "git upload-archive --remote=x hello",
    "git --exec-path=/tmp receive-pack",
    "git -c core.sshCommand=id fetch",
    "git",
    "git-",
    "'git-receive-pack' 'hello'",
    "scp -t /tmp/x",
    "scp -f /etc/passwd",
    "sftp-server",
    "rsync --server . /etc",
)
UNREADABLE = (
    "apps 'open",
    'apps "open',
    "apps \0",
    "apps \x1b[31m",
    "apps \x07",
    "apps \x7f",
    "apps \u202e",
    "a" * 200_000,
)
# Words for the terminal; none of them is a program's name.
WORDS = (
    "sh", "sh -c id", "/bin/sh", "bash -i", "id", "exec id", "; id", "| id", "&& id", "$(id)", "`id`",
    "cat /etc/passwd",
    "env", "env LD_PRELOAD=/tmp/x.so id", "../../bin/sh", "python3 -c 'import os'", "nc -e /bin/sh 127.0.0.1 1",
    "-c id",
    "--help; id", "internal-sftp", "\n\nid", "reboot", "> /tmp/x", "< /etc/passwd", "%s%s%s%n", "sudo id",
)  # fmt: skip
