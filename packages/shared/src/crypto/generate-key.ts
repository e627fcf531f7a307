/**
 * Makes private keys on the thread pool, so that an RSA key does not stop the event loop. Never by
 * `generateKeyPairSync`: to export what it makes can stop the process for ever (`@bonafide/testing/make-key-pair` says why).
 */
import { generateKeyPair, type KeyObject } from 'node:crypto';
import type { KeyType } from './key-type.js';

export function generatePrivateKey(type: KeyType): Promise<KeyObject> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, _publicKey: KeyObject, privateKey: KeyObject): void => {
      if (error === null) resolve(privateKey);
      else reject(error);
    };
    switch (type) {
      case 'ec-p256':
        generateKeyPair('ec', { namedCurve: 'P-256' }, done);
        return;
      case 'ec-p384':
        generateKeyPair('ec', { namedCurve: 'P-384' }, done);
        return;
      case 'rsa-2048':
        generateKeyPair('rsa', { modulusLength: 2048, publicExponent: 0x10001 }, done);
        return;
      case 'rsa-4096':
        generateKeyPair('rsa', { modulusLength: 4096, publicExponent: 0x10001 }, done);
        return;
    }
  });
}
