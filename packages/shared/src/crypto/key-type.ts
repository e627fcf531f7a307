/** The kinds of key that SVIDs and authorities may have, by SPIRE's names. */

export const KEY_TYPES = ['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-4096'] as const;
export type KeyType = (typeof KEY_TYPES)[number];
