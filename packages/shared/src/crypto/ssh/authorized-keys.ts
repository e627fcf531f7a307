/** Public keys and certificates in lines of text, as OpenSSH's `authorized_keys` and `.pub` files have them. */
import { invalidArgument } from '../../errors/bonafide-error.js';
import { decodeBase64 } from '../pem.js';
import { parseSshPublicKey, type SshPublicKey } from './ssh-public-key.js';
import { SshReader } from './ssh-wire.js';

/**
 * Options before a key and the comment after it are passed over, as are empty lines and those that begin with `#`.
 * @throws BonafideError `invalid_argument` for a line without a key that we know, and for text without any.
 */
export function parseAuthorizedKeys(text: string): readonly SshPublicKey[] {
  const lines = text.split('\n').map((line) => line.trim());
  const keys = lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => parseSshPublicKey(readSshKeyLine(line)));
  if (keys.length === 0) throw invalidArgument('no SSH key; expected lines such as ssh-ed25519 AAAA...');
  return keys;
}

/** The blob of a line `TYPE BASE64 COMMENT`, with or without options before. @throws BonafideError `invalid_argument`. */
export function readSshKeyLine(line: string): Buffer {
  const words = line.trim().split(/\s+/);
  // The blob begins with the length of its type, and so with AAAA.
  const position = words.findIndex((word, index) => index > 0 && word.startsWith('AAAA'));
  const [type, base64] = [words[position - 1], words[position]];
  if (type === undefined || base64 === undefined) {
    throw invalidArgument('a line has no SSH key; expected its type and base64, such as ssh-ed25519 AAAA...');
  }
  const blob = decodeBase64(base64, 'SSH key');
  if (new SshReader(blob, 'SSH key').readText('type') !== type) {
    throw invalidArgument(
      `the type of an SSH key is not ${JSON.stringify(type.slice(0, 64))}, as its line says`,
    );
  }
  return blob;
}
