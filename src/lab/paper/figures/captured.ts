/** `time-sequence --capture FILE`: the largest transfer in a capture of the user's own, drawn like the flight's. */
import { readFile } from 'node:fs/promises';
import { OmniError } from '../../../core/index.ts';
import { readCaptureFile } from '../../../io/capture-file.ts';
import { recordedPacket } from '../../recorded-packets.ts';
import { reportTransfer, type TransferOf, type TransferReport } from '../../transfer-report.ts';
import { type Arrivals, readArrivals } from '../arrivals.ts';
import type { FigureModule } from '../module.ts';
import { sha256 } from '../provenance.ts';
import { drawTransfer } from './sequence-plot.ts';

/** @param link by name; the one with the largest transfer unless given. Throws OmniError OMNI_CAPTURE_READ. */
export async function capturedTransfer(file: string, link?: string): Promise<FigureModule> {
  const links = await linksIn(file);
  if (link !== undefined && !links.includes(link))
    throw new OmniError('OMNI_BAD_FILE', `${file} has no packets of a link '${link}'`, {
      remedy: links.length === 0 ? "it is no capture of 'omni capture --on LINK'" : `it has ${links.join(', ')}`,
    });
  let largest: { of: TransferOf; report: TransferReport; arrivals: Arrivals } | undefined;
  for (const name of link === undefined ? links : [link])
    for (const direction of ['up', 'down'] as const) {
      // The rate is not in a capture, and nothing that is drawn needs it.
      const of: TransferOf = { link: name, direction, linkBitPerSecond: 1 };
      const report = await reportTransfer(file, of);
      if (report === undefined || report.octets <= (largest?.report.octets ?? 0)) continue;
      // Seen from either end the transfer is there; this end must be the one that sends.
      const arrivals = await readArrivals(file, { ...of, ...report.flow });
      if (arrivals.sent > 0) largest = { of, report, arrivals };
    }
  if (largest === undefined)
    throw new OmniError('OMNI_BAD_FILE', `${file} holds no TCP data`, {
      remedy: "capture a whole transfer: 'omni capture' writes what crosses the links as pcapng",
    });
  const { of, report, arrivals } = largest;
  const sum = sha256(await readFile(file));
  const methods = `From the capture ${file} (SHA-256 ${sum}): link ${of.link}, ${of.direction}, ${report.flow.source} to ${report.flow.destination}.`;
  return {
    name: 'time-sequence',
    summary: '',
    needsTestbeds: false,
    matrix: () => ({ capture: file, sha256: sum, link: of.link, direction: of.direction }),
    build: async () => drawTransfer(report, arrivals, [], methods, []),
  };
}

async function linksIn(file: string): Promise<string[]> {
  const links = new Set<string>();
  let number = 0;
  for await (const { packet, interface: from } of readCaptureFile(file)) {
    const recorded = recordedPacket(packet, from, ++number);
    if (recorded?.tap === 'ip-in') links.add(recorded.link);
  }
  return [...links];
}
