// Makes the package that is published as @bonafide/sdk: `npm run pack:sdk -- [folder]`, from what `npm run build` made. It carries its own
// copy of the modules of @bonafide/shared and of the contracts that it reaches, so that npm needs to know of no other package of ours.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix, relative, resolve, sep } from 'node:path';
import ts from 'typescript';

const root = dirname(import.meta.dirname);
const sdk = join(root, 'packages', 'sdk');
const shared = join(root, 'packages', 'shared');
const proto = join(root, 'proto');
const CONTRACT = 'spiffe/workload/workload.proto';
const SHARED = '@bonafide/shared/';

/** Where a file of dist goes in the package; undefined for what is not ours. */
function placeOf(file) {
  for (const [from, to] of [
    [join(sdk, 'dist'), 'dist'],
    [join(shared, 'dist'), 'dist/shared'],
  ]) {
    const path = relative(from, file);
    if (!path.startsWith('..')) return posix.join(to, path.split(sep).join('/'));
  }
  throw new Error(`${file} is not part of the package`);
}

/** The file that an import names, undefined for another package's; `extension` is that of the importing file's kind. */
function resolveImport(specifier, from, extension) {
  if (specifier.startsWith(SHARED)) return join(shared, 'dist', specifier.slice(SHARED.length) + extension);
  if (specifier.startsWith('.')) return resolve(dirname(from), specifier.replace(/\.js$/, extension));
  return undefined;
}

/** Each file that the entries reach, with the imports of it that have to name another place in the package. */
function reachableFiles(entries, extension) {
  const files = new Map();
  const packages = new Set();
  const waiting = entries.map((entry) => join(sdk, 'dist', entry + extension));
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (files.has(file)) continue;
    if (!existsSync(file)) throw new Error(`${file} is missing; run npm run build first`);
    const text = readFileSync(file, 'utf8');
    const moved = [];
    for (const { fileName, pos, end } of ts.preProcessFile(text, true, true).importedFiles) {
      const target = resolveImport(fileName, file, extension);
      if (target === undefined) packages.add(fileName);
      else {
        waiting.push(target);
        if (!fileName.startsWith('.')) moved.push({ target, pos, end });
      }
    }
    files.set(file, { text, moved });
  }
  return { files, packages };
}

/** The text with its imports of other packages of ours made relative to its place. */
function rewritten(file, { text, moved }) {
  const place = placeOf(file);
  let result = text.replace(/\n?\/\/# sourceMappingURL=\S+\s*$/, '\n');
  for (const { target, pos, end } of moved.toSorted((a, b) => b.pos - a.pos)) {
    const specifier = relativeSpecifier(place, placeOf(target).replace(/\.d\.ts$/, '.js'));
    // From the quote before to the quote after, wherever the parser's range begins.
    const start = result.indexOf(SHARED, pos);
    if (start < 0 || start > end) throw new Error(`cannot rewrite an import of ${file}`);
    result = result.slice(0, start) + specifier + result.slice(result.indexOf(quoteAt(result, start), start));
  }
  return result.replaceAll('@bonafide/proto/package.json', relativeSpecifier(place, 'package.json'));
}

function quoteAt(text, start) {
  return text[start - 1];
}

function relativeSpecifier(from, to) {
  const path = posix.relative(posix.dirname(from), to);
  return path.startsWith('.') ? path : `./${path}`;
}

/** The contracts that one imports, itself included. Those of protobuf come with the library that reads them. */
function contracts(file, found = new Set()) {
  if (found.has(file) || file.startsWith('google/protobuf/')) return found;
  found.add(file);
  const text = readFileSync(join(proto, file), 'utf8');
  for (const [, imported] of text.matchAll(/^import\s+(?:public\s+)?"([^"]+)"/gm)) contracts(imported, found);
  return found;
}

/** What package.json says, without what is for the workspace alone. */
function publishedManifest(packages) {
  const {
    private: _private,
    devDependencies: _dev,
    dependencies,
    exports,
    ...rest
  } = readJson(join(sdk, 'package.json'));
  const own = { ...readJson(join(shared, 'package.json')).dependencies, ...dependencies };
  const peers = Object.keys(rest.peerDependencies ?? {});
  const needed = [...packages].filter((name) => !name.startsWith('node:')).map(packageName);
  const runtime = [...new Set(needed)].filter((name) => !peers.includes(name)).sort();
  return {
    ...rest,
    exports: {
      ...Object.fromEntries(
        Object.entries(exports).map(([name, target]) => [
          name,
          typeof target === 'string' ? target : { types: target.types, default: target.default },
        ]),
      ),
    },
    // A range, so that an application and its generated clients share one gRPC with this package.
    dependencies: Object.fromEntries(runtime.map((name) => [name, `^${own[name]}`])),
  };
}

function packageName(specifier) {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** Writes the package's files. @returns the manifest. */
function stage(folder) {
  const { exports } = readJson(join(sdk, 'package.json'));
  const entries = Object.values(exports)
    .filter((target) => typeof target !== 'string')
    .map(({ default: file }) => posix.basename(file, '.js'));
  const code = reachableFiles(entries, '.js');
  const types = reachableFiles(entries, '.d.ts');
  const write = (place, text) => {
    mkdirSync(dirname(join(folder, place)), { recursive: true });
    writeFileSync(join(folder, place), text);
  };
  for (const [file, content] of [...code.files, ...types.files]) {
    const text = rewritten(file, content);
    if (/['"]@bonafide\/(shared|proto)/.test(text))
      throw new Error(`${file} still names a package that is not published`);
    write(placeOf(file), text);
  }
  for (const file of contracts(CONTRACT)) write(file, readFileSync(join(proto, file), 'utf8'));
  copyFileSync(join(sdk, 'README.md'), join(folder, 'README.md'));
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  const manifest = publishedManifest(code.packages);
  write('package.json', `${JSON.stringify(manifest, undefined, 2)}\n`);
  return manifest;
}

/** @returns the path of the tarball. */
export function packSdk(destination) {
  const folder = mkdtempSync(join(tmpdir(), 'bonafide-sdk-'));
  try {
    stage(folder);
    mkdirSync(destination, { recursive: true });
    const options = [
      '--ignore-scripts',
      '--loglevel=error',
      '--json',
      '--pack-destination',
      resolve(destination),
    ];
    const [packed] = Object.values(
      JSON.parse(execFileSync('npm', ['pack', ...options], { cwd: folder, encoding: 'utf8' })),
    );
    return join(resolve(destination), packed.filename);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (
  process.argv[1] !== undefined &&
  createRequire(import.meta.url).resolve(process.argv[1]) === import.meta.filename
) {
  console.log(packSdk(process.argv[2] ?? join(root, 'dist')));
}
