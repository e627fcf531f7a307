// The licences of all that a program carries of others, as those ask for.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const TEXTS = /^(licen[cs]e|copying|notice)([.-].*)?$/i;
/** What Apache-2.0 programs may carry; anything else has to be looked at by somebody first. */
const ALLOWED = /^\(?(MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD|BlueOak-1\.0\.0|CC0-1\.0|Unlicense)\b/;

/** @param folders of packages, some perhaps twice. */
export function notice(program, folders) {
  const packages = [...new Set(folders)]
    .map(describePackage)
    .toSorted((a, b) => (a.title < b.title ? -1 : 1))
    .map(({ title, text }) => `${'-'.repeat(80)}\n${title}\n\n${text}\n`);
  return [
    `Bonafide (bonafide-${program})\n`,
    `Licensed under the Apache License, Version 2.0. This program carries the following software of others.\n`,
    ...packages,
  ].join('\n');
}

function describePackage(folder) {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const { name, version, license } = manifest;
  if (typeof license !== 'string' || !ALLOWED.test(license)) {
    throw new Error(
      `${name} ${version} has the licence ${JSON.stringify(license)}, which nobody has allowed`,
    );
  }
  const texts = readdirSync(folder)
    .filter((file) => TEXTS.test(file))
    .map((file) => readFileSync(join(folder, file), 'utf8').trim());
  const holder = typeof manifest.author === 'string' ? manifest.author : manifest.author?.name;
  const text = texts.length > 0 ? texts.join('\n\n') : `Its authors: ${holder ?? name}. Licence: ${license}.`;
  return { title: `${name} ${version} (${license})`, text };
}
