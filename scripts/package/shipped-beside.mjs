// What stands beside a bundle in its node_modules: libraries with machine code, for this platform alone, and the contracts.
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = dirname(dirname(import.meta.dirname));
const modules = join(root, 'node_modules');
const { arch, platform } = process;

/** Of each library the paths that a program needs; undefined is not there on every platform. */
const FILES = {
  'better-sqlite3': ['lib', 'build/Release/better_sqlite3.node'],
  bindings: ['bindings.js'],
  'file-uri-to-path': ['index.js'],
  'better-sqlite3-node-api': [
    'lib',
    `prebuilds/${platform}-${arch}.node`,
    ...(platform === 'linux' ? [`prebuilds/linuxmusl-${arch}.node`] : []),
  ],
  koffi: ['index.cjs', 'indirect.cjs', 'src/koffi'],
  [`@koromix/koffi-${platform}-${arch}`]: ['.'],
};
const NEEDED_BY = {
  'better-sqlite3': ['bindings', 'file-uri-to-path'],
  koffi: [`@koromix/koffi-${platform}-${arch}`],
};
const ALWAYS = /^(package\.json|licen[cs]e.*|notice.*|copying.*)$/i;
const SOURCES = /\.(c|cc|cpp|h|hh|hpp|inc|asm|S|gyp|txt|ts|md)$/;

/** @returns the folders that they came from. */
export function copyNativeModules(names, folder) {
  const all = names.flatMap((name) => [name, ...(NEEDED_BY[name] ?? [])]);
  return all.map((name) => {
    const from = join(modules, name);
    const to = join(folder, 'node_modules', name);
    mkdirSync(to, { recursive: true });
    const files = [...FILES[name], ...readdirSync(from).filter((file) => ALWAYS.test(file))];
    for (const file of files) {
      if (!existsSync(join(from, file))) throw new Error(`${join(from, file)} is missing; run npm ci first`);
      cpSync(join(from, file), join(to, file), {
        recursive: true,
        filter: (path) => ALWAYS.test(path.split('/').at(-1)) || !SOURCES.test(path),
      });
    }
    return from;
  });
}

/** The .proto files are read at run time. */
export function copyContracts(folder) {
  const to = join(folder, 'node_modules', '@bonafide', 'proto');
  mkdirSync(to, { recursive: true });
  const from = join(root, 'proto');
  cpSync(from, to, {
    recursive: true,
    filter: (path) => !/[\\/](node_modules|gen|dist)([\\/]|$)/.test(path.slice(from.length)),
  });
  JSON.parse(readFileSync(join(to, 'package.json'), 'utf8'));
}
