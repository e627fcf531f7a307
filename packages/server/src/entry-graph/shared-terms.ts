/** What an entry grants and to whom, without its names and times: a million entries have a few thousand different terms, each kept once. */
import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import type { Selector } from '@bonafide/shared/registration/selector';

export type EntryTerms = Omit<RegistrationEntryContent, 'spiffeId' | 'parentId' | 'expiresAt'>;

interface CountedTerms {
  readonly terms: EntryTerms;
  uses: number;
}

export class SharedTerms {
  readonly #known = new Map<string, CountedTerms>();

  get size(): number {
    return this.#known.size;
  }

  /** Until as many releases. */
  take(content: RegistrationEntryContent): EntryTerms {
    const key = keyOf(content);
    let known = this.#known.get(key);
    if (known === undefined) {
      known = { terms: termsOf(content), uses: 0 };
      this.#known.set(key, known);
    }
    known.uses += 1;
    return known.terms;
  }

  release(terms: EntryTerms): void {
    const key = keyOf(terms);
    const known = this.#known.get(key);
    if (known === undefined) return;
    known.uses -= 1;
    if (known.uses === 0) this.#known.delete(key);
  }
}

function termsOf(content: RegistrationEntryContent): EntryTerms {
  return {
    selectors: content.selectors,
    x509SvidTtlSeconds: content.x509SvidTtlSeconds,
    jwtSvidTtlSeconds: content.jwtSvidTtlSeconds,
    federatesWith: content.federatesWith,
    isAdmin: content.isAdmin,
    isDownstream: content.isDownstream,
    dnsNames: content.dnsNames,
    storesSvid: content.storesSvid,
    hint: content.hint,
    disablesX509SvidPrefetch: content.disablesX509SvidPrefetch,
    includesJwtSvidJti: content.includesJwtSvidJti,
  };
}

/** Equal exactly for equal terms: every text comes with its length, every list with its count. */
function keyOf(terms: EntryTerms): string {
  const flags =
    (terms.isAdmin ? 1 : 0) |
    (terms.isDownstream ? 2 : 0) |
    (terms.storesSvid ? 4 : 0) |
    (terms.disablesX509SvidPrefetch ? 8 : 0) |
    (terms.includesJwtSvidJti ? 16 : 0);
  const ttls = `${terms.x509SvidTtlSeconds ?? ''} ${terms.jwtSvidTtlSeconds ?? ''}`;
  const lists = `${selectorsKey(terms.selectors)}${textsKey(terms.federatesWith)}${textsKey(terms.dnsNames)}`;
  return terms.hint === undefined ? `${flags} ${ttls} ${lists}` : `${flags} ${ttls} ${lists} ${terms.hint}`;
}

/** The store hands out the same few arrays over and over. */
const MAX_REMEMBERED = 20_000;
const rememberedKeys = new Map<readonly Selector[], string>();

function selectorsKey(selectors: readonly Selector[]): string {
  const remembered = rememberedKeys.get(selectors);
  if (remembered !== undefined) return remembered;
  const parts = selectors.map(({ type, value }) => `${type}:${value.length}:${value}`);
  const key = `${parts.length} ${parts.join('')}`;
  if (rememberedKeys.size >= MAX_REMEMBERED) rememberedKeys.clear();
  rememberedKeys.set(selectors, key);
  return key;
}

function textsKey(texts: readonly string[]): string {
  if (texts.length === 0) return '0 ';
  let key = `${texts.length} `;
  for (const text of texts) key += `${text.length}:${text}`;
  return key;
}
