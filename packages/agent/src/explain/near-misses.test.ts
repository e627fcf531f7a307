import { formatSelector, isSubset, parseSelector } from '@bonafide/shared/registration/selector';
import fc from 'fast-check';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { describe, expect, it } from 'vitest';
import { sampleEntry } from '../svid-cache/cache-samples.js';
import { nearMisses } from './near-misses.js';
import { PresentedSelectors } from './presented-selectors.js';

const OF_WEB = ['unix:uid:33', 'unix:user:www-data', 'unix:gid:33', 'unix:group:www-data'];

function presenting(...texts: readonly string[]): PresentedSelectors {
  return new PresentedSelectors([{ attestor: 'unix', selectors: texts.map(parseSelector) }]);
}

async function idsOf(entries: readonly ReturnType<typeof sampleEntry>[], presented: PresentedSelectors) {
  return (await nearMisses(entries, presented, systemClock)).map(({ entryId }) => entryId);
}

describe('nearMisses', () => {
  it('puts slips before other values, and those of which more is there before those of which nothing is', async () => {
    const entries = [
      sampleEntry('other-user', ['unix:user:postgres']),
      sampleEntry('other-group', ['unix:uid:33', 'unix:group:staff']),
      sampleEntry('two-slips', ['unix:user:www-dta', 'unix:group:www-dat']),
      sampleEntry('one-slip', ['unix:uid:33', 'unix:user:www-dta']),
      sampleEntry('in-case', ['unix:uid:33', 'unix:user:WWW-DATA']),
    ];
    expect(await idsOf(entries, presenting(...OF_WEB))).toEqual([
      'in-case',
      'one-slip',
      'two-slips',
      'other-group',
      'other-user',
    ]);
  });

  it('leaves out what matches and what has nothing to do with the process', async () => {
    const entries = [
      sampleEntry('match', ['unix:uid:33']),
      sampleEntry('unrelated', ['unix:sha256:00ff']),
      sampleEntry('node', ['spiffe_id:spiffe://example.org/spire/agent/join_token/t']),
      sampleEntry('near', ['unix:uid:33', 'unix:sha256:00ff']),
    ];
    expect(await idsOf(entries, presenting(...OF_WEB))).toEqual(['near']);
  });

  it('says what is there and what is not', async () => {
    const entries = [sampleEntry('near', ['unix:uid:33', 'unix:user:www-dta'])];
    expect(await nearMisses(entries, presenting(...OF_WEB), systemClock)).toEqual([
      {
        entryId: 'near',
        spiffeId: 'spiffe://example.org/near',
        present: [parseSelector('unix:uid:33')],
        missing: [
          {
            selector: parseSelector('unix:user:www-dta'),
            hint: { kind: 'similar', presented: [parseSelector('unix:user:www-data')], edits: 1 },
          },
        ],
      },
    ]);
  });

  it('never claims that something is missing which was presented, nor shows an entry that matches', async () => {
    const text = fc
      .tuple(
        fc.constantFrom('unix', 'docker', 'k8s'),
        fc.constantFrom(
          'uid:1',
          'uid:2',
          'user:web',
          'user:Web',
          'user:wbe',
          'label:app:a',
          'label:app:ab',
          'x',
        ),
      )
      .map((parts) => parts.join(':'));
    const entrySelectors = fc.uniqueArray(text, { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(entrySelectors, { maxLength: 20 }),
        fc.uniqueArray(text),
        async (asked, had) => {
          const presented = presenting(...had);
          const entries = asked.map((selectors, index) => sampleEntry(`e${index}`, selectors));
          const found = await nearMisses(entries, presented, systemClock);
          expect(found.length).toBeLessThanOrEqual(5);
          for (const { entryId, missing, present } of found) {
            const names = new Set(had);
            const lacks = missing.map(({ selector }) => formatSelector(selector));
            expect(lacks.filter((each) => names.has(each))).toEqual([]);
            expect(lacks.length).toBeGreaterThan(0);
            const entry = entries.find(({ id }) => id === entryId);
            expect([...lacks, ...present.map(formatSelector)].sort()).toEqual(
              entry?.selectors.map(formatSelector).sort(),
            );
            for (const { hint } of missing) {
              const instead = 'presented' in hint ? hint.presented.map(formatSelector) : [];
              expect(isSubset(new Set(instead), names)).toBe(true);
            }
          }
        },
      ),
    );
  });

  it('finds what an exhaustive search finds', async () => {
    const number = fc.integer({ min: 0, max: 6 });
    const selectors = fc
      .uniqueArray(number, { minLength: 1, maxLength: 4 })
      .map((values) => values.map((value) => `unix:uid:${value}`));
    await fc.assert(
      fc.asyncProperty(fc.array(selectors, { maxLength: 30 }), selectors, async (asked, had) => {
        const entries = asked.map((each, index) => sampleEntry(`e${index}`, each));
        const all = await nearMisses(entries, presenting(...had), systemClock, 1_000);
        expect(await nearMisses(entries, presenting(...had), systemClock, 3)).toEqual(all.slice(0, 3));
      }),
    );
  });

  it('looks through ten thousand entries in one go', async () => {
    const had = [
      ...OF_WEB,
      ...Array.from({ length: 100 }, (_, index) => `unix:label:key-${index}:value-${index}`),
    ];
    const entries = Array.from({ length: 10_000 }, (_, index) =>
      sampleEntry(`e${index}`, [
        `unix:user:service-${index}`,
        `unix:label:key-${index % 100}:other-${index}`,
      ]),
    );
    entries.push(sampleEntry('near', ['unix:uid:33', 'unix:user:www-dta']));
    expect((await idsOf(entries, presenting(...had)))[0]).toBe('near');
  });

  it('lets others have their turn, however slow the machine', async () => {
    const entries = Array.from({ length: 1_000 }, (_, index) =>
      sampleEntry(`e${index}`, [`unix:user:service-${index}`]),
    );
    let isOver = false;
    let turns = 0;
    const countTurns = (): void => {
      turns += 1;
      if (!isOver) setImmediate(countTurns);
    };
    setImmediate(countTurns);
    let nowMs = 0;
    await nearMisses(entries, presenting(...OF_WEB), { monotonicMs: () => (nowMs += 1) });
    isOver = true;
    // A look at the clock takes a millisecond here, and a turn four of them.
    expect(turns).toBeGreaterThan(150);
  });
});
