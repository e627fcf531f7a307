/** A chain of three certificates below a root for tests of whoever verifies one, in which one certificate may be made otherwise. */
import { createTestParty, type TestParty, type TestPartyWish } from './test-party.js';

export interface TestPath {
  readonly leaf: TestParty;
  readonly intermediates: readonly TestParty[];
  readonly roots: readonly TestParty[];
}

export interface TestChain extends TestPath {
  readonly lower: TestParty;
  readonly upper: TestParty;
  readonly root: TestParty;
}

type ChainPlace = 'leaf' | 'lower' | 'upper' | 'root';

export async function createTestChain(
  place?: ChainPlace,
  wish: Partial<TestPartyWish> = {},
): Promise<TestChain> {
  const at = (name: ChainPlace): Partial<TestPartyWish> => (name === place ? wish : {});
  const root = await createTestParty({ name: 'root', isCa: true, ...at('root') });
  const upper = await createTestParty({ name: 'upper', isCa: true, issuer: root, ...at('upper') });
  const lower = await createTestParty({ name: 'lower', isCa: true, issuer: upper, ...at('lower') });
  const leaf = await createTestParty({ name: 'leaf', issuer: lower, ...at('leaf') });
  return { leaf, lower, upper, root, intermediates: [lower, upper], roots: [root] };
}

/** As verifiers take them. */
export function certificatesOf({ leaf, intermediates, roots }: TestPath): {
  readonly leaf: Buffer;
  readonly intermediates: readonly Buffer[];
  readonly roots: readonly Buffer[];
} {
  const ders = (parties: readonly TestParty[]): readonly Buffer[] =>
    parties.map(({ certificate }) => certificate);
  return { leaf: leaf.certificate, intermediates: ders(intermediates), roots: ders(roots) };
}
