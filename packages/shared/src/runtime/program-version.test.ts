import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { programVersion } from './program-version.js';

const root = join(import.meta.dirname, '..', '..', '..', '..');
const FOLDERS = [
  '.',
  'proto',
  'test',
  ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`),
];

interface Manifest {
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

describe('the version of a release', () => {
  it.each(FOLDERS)('is that of %s and of what it takes from beside it', (folder) => {
    const manifest = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Manifest;
    const ours = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(([name]) =>
      name.startsWith('@bonafide/'),
    );
    expect([manifest.version, ...ours.map(([, version]) => version)]).toEqual(
      Array.from({ length: ours.length + 1 }, programVersion),
    );
  });

  it('is what the Helm chart installs', () => {
    const chart = parse(readFileSync(join(root, 'deploy', 'helm', 'bonafide', 'Chart.yaml'), 'utf8')) as {
      readonly appVersion: string;
    };
    expect(chart.appVersion).toBe(programVersion());
  });
});
