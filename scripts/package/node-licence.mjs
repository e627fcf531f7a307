// The licence of the Node.js that a package carries, with those of what it is made of.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export function licenceOfNode(node, version) {
  const prefix = dirname(dirname(node));
  const places = [
    'LICENSE',
    'share/doc/nodejs/copyright',
    'share/doc/nodejs/LICENSE',
    'share/doc/node/LICENSE',
  ];
  const found = places.map((place) => join(prefix, place)).find((path) => existsSync(path));
  const text = found === undefined ? '' : `\n\n${readFileSync(found, 'utf8')}`;
  return `This package carries Node.js ${version}: https://github.com/nodejs/node/blob/${version}/LICENSE${text}\n`;
}
