import { expect, it } from 'vitest';
import { rotationStorm } from '../bench/issuance/rotation-storm.js';

it('a root that rotates under thousands of SVIDs: whoever has no time is first, agents renew their own all the while, nobody is forgotten', async () => {
  const limits = { items: 1500, itemsOfCaller: 500, bytes: 64 * 1024 * 1024 };
  const report = await rotationStorm({ agents: 100, svidsOfAgent: 50, everyUrgent: 10, threads: 0, limits });
  expect(report.signed).toBe(5000);
  expect(report.sentBack).toBeGreaterThan(0);
  expect(report.urgentPlace).toBeLessThan(report.freshPlace - 0.2);
  expect(report.ownRenewals).toBeGreaterThan(3);
  // Of a machine that runs other tests beside; alone it is some milliseconds (docs/decisions/0019).
  expect(report.longestOwnRenewalMs).toBeLessThan(20_000);
  expect(report.heapGrowthMiB).toBeLessThan(200);
});
