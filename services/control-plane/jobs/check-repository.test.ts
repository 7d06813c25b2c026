import { expect, test } from "vitest";
import { checkRepository } from "./check-repository.ts";

const strict = (address: string) => checkRepository(address, { allowLocal: false });
const local = (address: string) => checkRepository(address, { allowLocal: true });

test.each([
  "https://github.com/acme/hello.git",
  "https://git.example.com:8443/hello",
  "https://dev.azure.com/acme/a%20project/_git/hello",
  "https://bücher.example/hello.git",
  "ssh://git@github.com/acme/hello.git",
  "ssh://git@git.example.com:2222/hello",
  "git@github.com:acme/hello.git",
  "git.example.com:hello.git",
  "https://8.8.8.8/hello.git",
  "https://[2606:4700::1111]/hello.git",
  "https://localhost.example.com/hello.git",
])("%s is taken", (address) => expect(strict(address)).toBeUndefined());

test.each([
  "file:///tmp/hello.git",
  "http://127.0.0.1:8080/hello.git",
  "https://localhost/hello.git",
  "ssh://git@127.0.0.1:2222/tmp/hello.git",
  "git@localhost:hello.git",
  "http://10.1.2.3/hello.git",
])("%s is taken where local repositories are, and refused with the way out elsewhere", (address) => {
  expect(local(address)).toBeUndefined();
  expect(strict(address)).toMatch(/RITMO_ALLOW_LOCAL_REPOSITORIES=true/);
});

test.each([
  "https://127.0.0.1/x",
  "https://127.1/x",
  "https://2130706433/x",
  "https://0x7f000001/x",
  "https://0x7f.0.0.1/x",
  "https://0177.0.0.1/x",
  "https://127.0.0.1./x",
  "https://0.0.0.0/x",
  "https://0/x",
  "https://[::1]/x",
  "https://[::]/x",
  "https://[::ffff:7f00:1]/x",
  "https://[::ffff:127.0.0.1]/x",
  "https://[0:0:0:0:0:ffff:a9fe:a9fe]/x",
  "https://[fe80::1]/x",
  "https://[fd00:ec2::254]/x",
  "https://[64:ff9b::7f00:1]/x",
  "https://[2002:7f00:1::]/x",
  "https://169.254.169.254/latest/meta-data",
  "https://100.100.100.200/x",
  "https://10.0.0.1/x",
  "https://172.16.0.1/x",
  "https://172.31.255.255/x",
  "https://192.168.1.1/x",
  "https://224.0.0.1/x",
  "https://LOCALHOST/x",
  "https://localhost./x",
  "https://foo.localhost/x",
  "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/x",
  "https://１２７.0.0.1/x",
  "https://metadata.google.internal/x",
  "https://metadata.google.internal./x",
  "ssh://git@2130706433/x",
  "ssh://git@0x7f.1/x",
  "ssh://git@0177.1/x",
  "ssh://git@[::1]/x",
  "ssh://git@[::ffff:7f00:1]/x",
  "ssh://git@localhost./x",
  "ssh://git@%31%32%37.0.0.1/x",
  "good@127.0.0.1:x",
  "git@2130706433:x",
  "localhost:x",
  "git@169.254.169.254:x",
])("%s leads to this machine or its network", (address) => {
  expect(strict(address)).toMatch(/own machine or network|neither a name nor an address/);
});

test.each([
  ["ext::sh -c touch% /tmp/x", /space/],
  ["ext::sh", /remote helper/],
  ["git+ext::sh", /remote helper/],
  ["fd::17", /remote helper/],
  ["-uhttps://example.com/x", /dash/],
  ["--upload-pack=touch", /dash/],
  ["ssh://-oProxyCommand=touch/x", /neither a name nor an address/],
  ["ssh://-oProxyCommand=touch@example.com/x", /dash|user/],
  ["ssh://%2doProxyCommand=touch@example.com/x", /dash/],
  ["-oProxyCommand=touch@host:x", /dash/],
  ["git@host.example.com:-x", /dash/],
  ["https://user:secret@example.com/x", /RITMO_GIT_CREDENTIALS/],
  ["https://token@example.com/x", /RITMO_GIT_CREDENTIALS/],
  ["ssh://git:secret@example.com/x", /RITMO_GIT_CREDENTIALS/],
  ["gopher://example.com/x", /scheme gopher/],
  ["git://example.com/x", /scheme git/],
  ["ftp://example.com/x", /scheme ftp/],
  ["unix:///var/run/docker.sock", /scheme unix/],
  ["http://example.com/x", /use https/],
  ["https:example.com/x", /no \/\//],
  ["https://example.com", /no repository/],
  ["https://example.com//", /no repository/],
  ["git@example.com:", /no address|no repository/],
  ["/tmp/hello.git", /file:\/\/\/tmp\/hello\.git/],
  ["hello", /no address/],
  ["", /no address/],
  ["https://example.com/a\0b", /control/],
  ["https://example.com/a\nb", /space/],
  ["https://example.com/a\u202eb", /control/],
  ["https://example.com/\ud800", /control/],
  ["https://exa\tmple.com/x", /space/],
  ["https:\\\\example.com\\x", /backslash/],
  [`https://example.com/${"x".repeat(1 << 20)}`, /longer/],
])("case %#: %.60s is refused", (address, why) => expect(strict(address)).toMatch(why));

test.each([
  ["file://host/tmp/x", /three slashes/],
  ["file:///", /no folder/],
  ["file:///tmp/x?y", /%3F/],
  ["https://user:secret@127.0.0.1/x", /RITMO_GIT_CREDENTIALS/],
  ["ext::sh", /remote helper/],
])("%s is refused even where local repositories are taken", (address, why) => expect(local(address)).toMatch(why));
