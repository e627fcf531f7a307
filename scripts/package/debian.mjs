// Packs the bundles as Debian packages, with the units of deploy/systemd and the configurations of deploy/config, by Debian's own dpkg-deb.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { librariesOf } from './library-versions.mjs';
import { licenceOfNode } from './node-licence.mjs';

const root = dirname(dirname(import.meta.dirname));
const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' };
const MAINTAINER = 'Bonafide contributors <bonafide@localhost>';
const SYSTEM_NODE = 'nodejs (>= 20.19)';

/** What is particular to each: its summary, its units, and files beside its configuration as name and mode. */
const PACKAGES = {
  server: {
    summary: 'certificate and registration authority of a SPIFFE trust domain',
    sockets: { BONAFIDE_SERVER_SOCKET: '/run/bonafide-server/api.sock' },
    units: ['bonafide-server.service'],
    empty: {},
  },
  agent: {
    summary: 'proves its node and hands out SVIDs to the workloads on it',
    sockets: { SPIRE_AGENT_PUBLIC_SOCKET: '/run/bonafide-agent/api.sock' },
    units: ['bonafide-agent.service', 'bonafide-agent.socket'],
    empty: { 'join-token': 0o600 },
  },
  oidc: {
    summary: 'publishes the keys of JWT-SVIDs for OpenID Connect',
    sockets: {},
    units: ['bonafide-oidc.service'],
    empty: {},
  },
};

/**
 * @param node the program to carry along, as `bonafide-runtime`; undefined: the machine has a Node.js of its own.
 * @param compression of dpkg-deb, for example `gzip`.
 * @returns the paths of the packages.
 */
export function buildDebianPackages({ bundles, output, node, compression = 'xz' }) {
  const architecture = ARCHITECTURES[process.arch];
  if (process.platform !== 'linux' || architecture === undefined) {
    throw new Error(
      `Debian packages are made on linux, x64 or arm64, not on ${process.platform} ${process.arch}`,
    );
  }
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const common = { version, architecture, output, compression };
  const programs = bundles.map((bundle) => programPackage(bundle, node, common));
  return node === undefined ? programs : [runtimePackage(node, common), ...programs];
}

/** The Node.js that the programs run with, where that of the distribution is too old or not there. */
function runtimePackage(node, common) {
  requireWholeNode(node);
  const tree = freshTree(common, 'bonafide-runtime');
  const folder = join(tree, 'usr/lib/bonafide');
  mkdirSync(folder, { recursive: true });
  copyFileSync(node, join(folder, 'node'));
  chmodSync(join(folder, 'node'), 0o755);
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  document(tree, 'bonafide-runtime', licenceOfNode(node, version));
  const description = `Node.js ${version} for the programs of Bonafide\n Used by bonafide-server, bonafide-agent and bonafide-oidc alone; nothing is put in the way of\n another Node.js.`;
  return build(tree, common, { name: 'bonafide-runtime', depends: librariesOf(tree), description });
}

function programPackage({ program, folder }, node, common) {
  const { summary, sockets, units, empty } = PACKAGES[program];
  const name = `bonafide-${program}`;
  const tree = freshTree(common, name);
  const library = join(tree, 'usr/lib/bonafide', program);
  cpSync(folder, library, { recursive: true });
  rmSync(join(library, 'NOTICE'));
  const run = node === undefined ? '/usr/bin/node' : '/usr/lib/bonafide/node';
  write(join(tree, 'usr/bin', name), wrapper(run, program, sockets), 0o755);
  for (const unit of units)
    write(join(tree, 'lib/systemd/system', unit), readFileSync(join(root, 'deploy/systemd', unit)));
  const configuration = join(tree, 'etc/bonafide');
  const example = readFileSync(join(root, 'deploy/config', `${program}.yaml`));
  write(join(configuration, `${program}.yaml`), example, 0o640);
  for (const [file, mode] of Object.entries(empty)) write(join(configuration, file), '', mode);
  const conffiles = [`${program}.yaml`, ...Object.keys(empty)].map((file) => `/etc/bonafide/${file}\n`);
  write(join(tree, 'DEBIAN/conffiles'), conffiles.join(''));
  for (const script of ['postinst', 'prerm', 'postrm']) {
    const text = readFileSync(join(root, 'packaging/debian', script), 'utf8');
    const filled = text.replaceAll('@PROGRAM@', program).replaceAll('@UNITS@', units.toReversed().join(' '));
    write(join(tree, 'DEBIAN', script), filled, 0o755);
  }
  document(tree, name, readFileSync(join(folder, 'NOTICE'), 'utf8'));
  const runtime = node === undefined ? SYSTEM_NODE : `bonafide-runtime (= ${common.version})`;
  return build(tree, common, {
    name,
    depends: `${runtime}, ${librariesOf(tree)}, passwd`,
    description: `${summary}\n Part of Bonafide: machine identities by SPIFFE.`,
  });
}

/** Commands find the sockets of the units unless they are told of others. */
function wrapper(node, program, sockets) {
  const lines = Object.entries(sockets).map(([name, path]) => `: "\${${name}:=${path}}"\nexport ${name}\n`);
  return `#!/bin/sh\n${lines.join('')}exec ${node} /usr/lib/bonafide/${program}/main.js "$@"\n`;
}

/** Debian's own `node` is a few kilobytes before a library, which another machine does not have. */
function requireWholeNode(node) {
  const libraries = execFileSync('ldd', [node], { encoding: 'utf8' });
  const missing = /\blib(?:node|uv|v8|icu\w*|ssl|crypto|nghttp2|cares)\.so\S*/.exec(libraries)?.[0];
  if (missing === undefined) return;
  throw new Error(
    `${node} needs ${missing}; name a Node.js of nodejs.org with --node, or leave it out with --without-node`,
  );
}

function freshTree({ output }, name) {
  const tree = join(output, 'debian', name);
  rmSync(tree, { recursive: true, force: true });
  mkdirSync(join(tree, 'DEBIAN'), { recursive: true });
  return tree;
}

function document(tree, name, notices) {
  const licence = readFileSync(join(root, 'LICENSE'), 'utf8');
  write(join(tree, 'usr/share/doc', name, 'copyright'), `${licence}\n${notices}`);
}

function write(path, content, mode = 0o644) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, mode);
}

function build(tree, { version, architecture, output, compression }, { name, depends, description }) {
  for (const path of readdirSync(tree, { recursive: true })) setMode(join(tree, path));
  const size = Math.ceil(bytesBelow(tree) / 1024);
  const control = [
    `Package: ${name}`,
    `Version: ${version}`,
    `Architecture: ${architecture}`,
    `Maintainer: ${MAINTAINER}`,
    `Installed-Size: ${size}`,
    `Depends: ${depends}`,
    'Section: net',
    'Priority: optional',
    `Description: ${description}`,
    '',
  ];
  write(join(tree, 'DEBIAN/control'), control.join('\n'));
  const file = join(output, `${name}_${version}_${architecture}.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', `-Z${compression}`, '--build', tree, file], {
    stdio: ['ignore', 'ignore', 'inherit'],
    // Two builds of one state are the same bytes.
    env: { ...process.env, SOURCE_DATE_EPOCH: process.env.SOURCE_DATE_EPOCH ?? '0' },
  });
  if (!existsSync(file)) throw new Error(`dpkg-deb made no ${file}`);
  return file;
}

/** Whatever umask this runs under. */
function setMode(path) {
  const status = lstatSync(path);
  if (status.isDirectory()) chmodSync(path, 0o755);
  else if (/\/usr\/lib\/bonafide\/[a-z]+\//.test(path)) chmodSync(path, 0o644);
}

function bytesBelow(folder) {
  const files = readdirSync(folder, { recursive: true }).map((path) => lstatSync(join(folder, path)));
  return files.filter((file) => file.isFile()).reduce((sum, { size }) => sum + size, 0);
}
