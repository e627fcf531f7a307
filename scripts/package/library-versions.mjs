// Which C and C++ libraries the machine code in a folder asks for, as Debian names them.
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The compiler whose library first had a version of its symbols (GCC's list of ABI versions). */
const GCC_OF_GLIBCXX = { 21: 5, 22: 6, 24: 7, 25: 8, 28: 9, 29: 11, 30: 12, 32: 13, 33: 14, 34: 15 };

export function librariesOf(folder) {
  let libc = 17;
  let cxx = 21;
  for (const path of readdirSync(folder, { recursive: true })) {
    const file = join(folder, path);
    if (!statSync(file).isFile() || !(path.endsWith('.node') || path.endsWith('/node'))) continue;
    const text = readFileSync(file, 'latin1');
    libc = newest(text, /\bGLIBC_2\.(\d+)/g, libc);
    cxx = newest(text, /\bGLIBCXX_3\.4\.(\d+)/g, cxx);
  }
  const gcc = Object.entries(GCC_OF_GLIBCXX).find(([version]) => Number(version) >= cxx)?.[1];
  if (gcc === undefined) throw new Error(`no compiler is known for GLIBCXX_3.4.${cxx}`);
  return `libc6 (>= 2.${libc}), libgcc-s1, libstdc++6 (>= ${gcc})`;
}

function newest(text, pattern, least) {
  let found = least;
  for (const [, minor] of text.matchAll(pattern)) found = Math.max(found, Number(minor));
  return found;
}
