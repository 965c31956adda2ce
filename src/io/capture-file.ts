/** Reads a whole capture file, ours or another program's, a piece at a time. */
import { createReadStream } from 'node:fs';
import { OmniError } from '../core/index.ts';
import { type CapturedPacket, type CaptureInterface, PcapngDecoder } from './pcapng.ts';

/**
 * The packets in the order of the file, each with its interface. A capture that stops inside a block (its writer was killed)
 * gives what is whole. Throws OmniError when the file cannot be read or is not pcapng.
 */
export async function* readCaptureFile(
  file: string,
): AsyncGenerator<{ packet: CapturedPacket; interface: CaptureInterface }, void, void> {
  const decoder = new PcapngDecoder();
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 18 }))
      for (const packet of decoder.push(chunk as Buffer))
        yield { packet, interface: decoder.interfaces[packet.interfaceId]! };
  } catch (error) {
    throw new OmniError('OMNI_CAPTURE_READ', `cannot read the capture ${file}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  decoder.end();
  if (decoder.problem !== undefined && decoder.problem !== 'truncated')
    throw new OmniError('OMNI_CAPTURE_READ', `${file} is not a whole pcapng capture (${decoder.problem})`, {
      remedy: 'omni capture writes pcapng; editcap -F pcapng converts other formats.',
    });
}
