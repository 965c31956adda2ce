/** Whether a node is in contact by its plan, and when that changes: looked up at each edge, and now and then for a plan that changed. */
import type { ServiceContext } from './service.ts';

type Planned = Pick<ServiceContext, 'clock' | 'contacts'>;

/** Contacts of several links may overlap; more than this many at once nobody has. */
const LOOKED_AT = 8;
/** The clock may be stepped and the plan be told anew meanwhile. */
const LONGEST_WAIT_MILLISECONDS = 500;
const SHORTEST_WAIT_MILLISECONDS = 2;

export function inContact(context: Planned): boolean {
  return look(context).up;
}

/** Calls `tell` at once and at least at every edge, with the same answer again in between; returns what ends it. */
export function watchContacts(context: Planned, tell: (up: boolean) => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const tick = () => {
    const { up, milliseconds } = look(context);
    tell(up);
    timer = setTimeout(tick, milliseconds);
  };
  tick();
  return () => clearTimeout(timer);
}

function look({ clock, contacts }: Planned): { up: boolean; milliseconds: number } {
  if (contacts.always) return { up: true, milliseconds: LONGEST_WAIT_MILLISECONDS };
  const now = clock.now();
  const next = contacts.next(now, LOOKED_AT);
  const edges = next.flatMap(({ begin, end }) => [begin, end]).filter((edge) => edge > now);
  const wait = edges.reduce((least, edge) => Math.min(least, Number(edge - now) / 1e6), LONGEST_WAIT_MILLISECONDS);
  return {
    up: next.some((contact) => contact.begin <= now && now < contact.end),
    milliseconds: Math.max(SHORTEST_WAIT_MILLISECONDS, Math.ceil(wait)),
  };
}
