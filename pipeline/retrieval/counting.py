"""The compiled inner loops of ranking: one pass over the scores of a query finds where its positives rank.

Sorting a whole ranking to learn the ranks of a few positives is work for nothing. Here the positives of a query are
sorted, and every item of the gallery is put between two of them: by comparison with each where they are few, else by a
table of equal intervals of scores, nearly always enough by itself, or by bisection. Nothing is approximate.
"""

import numpy as np

from .compiled import compiled

# Intervals between the best and the worst positive of a query: a table of them stays in the first-level cache.
INTERVALS = 4096
# Columns that are looked at together.
STRETCH = 512
# Entries of that table that are written at once.
SPILL = 16
# Neighbouring columns of which only the best is looked at to find a bar for the top.
GROUP = 16
# With so few positives a query scores are compared with each of them instead of looked up in a table.
FEW = 16
# The bits of a sort key that number the positives of a query; 32 are its score, and the rest number the query.
POSITION_BITS = 23


@compiled
def leave_out(scores: np.ndarray, first: int, starts: np.ndarray, items: np.ndarray) -> None:
    """Give items the score minus infinity: ``items[starts[q]:starts[q + 1]]`` in row q, columns from ``first``."""
    for query in range(len(starts) - 1):
        for item in items[starts[query] : starts[query + 1]]:
            if first <= item < first + scores.shape[1]:
                scores[query, item - first] = -np.inf


@compiled
def pick(scores: np.ndarray, first: int, starts: np.ndarray, items: np.ndarray, picked: np.ndarray) -> None:
    """Copy the scores of ``items`` that are in the columns from ``first`` on into ``picked``."""
    for query in range(len(starts) - 1):
        for position in range(starts[query], starts[query + 1]):
            column = items[position] - first
            if 0 <= column < scores.shape[1]:
                picked[position] = scores[query, column]


@compiled
def descending(pattern: np.uint32) -> np.uint64:
    """Return from a float's bits 32 others, which as integers are in the order of the floats, the highest first."""
    if pattern == np.uint32(0x80000000):
        pattern = np.uint32(0)  # minus zero ties with zero
    negative = pattern & np.uint32(0x80000000)
    return np.uint64(pattern if negative else np.uint32(0x7FFFFFFF) - pattern)


@compiled
def sort_keys(scores: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return a 64-bit key a positive: query, then score from high to low, then place in the list."""
    keys = np.empty(len(scores), np.uint64)
    bits = scores.view(np.uint32)
    for query in range(len(starts) - 1):
        for position in range(starts[query], starts[query + 1]):
            key = (np.uint64(query) << np.uint64(32)) | descending(bits[position])
            keys[position] = (key << np.uint64(POSITION_BITS)) | np.uint64(position - starts[query])
    return keys


@compiled
def in_order(
    keys: np.ndarray,
    starts: np.ndarray,
    scores: np.ndarray,
    items: np.ndarray,
    sorted_scores: np.ndarray,
    sorted_items: np.ndarray,
) -> None:
    """Undo :func:`sort_keys` after sorting: the scores and items of the positives, best first."""
    mask = np.uint64((1 << POSITION_BITS) - 1)
    for query in range(len(starts) - 1):
        start = starts[query]
        for position in range(start, starts[query + 1]):
            source = start + np.int64(keys[position] & mask)
            sorted_scores[position] = scores[source]
            sorted_items[position] = items[source]


@compiled
def precedes(score: np.float32, item: int, other_score: np.float32, other_item: int) -> bool:
    """Return whether an item stands before another: a higher score, or the same and a lower index."""
    return bool(score > other_score or (score == other_score and item < other_item))


@compiled
def push(top_scores: np.ndarray, top_items: np.ndarray, score: np.float32, item: int) -> None:
    """Replace the last of the best items, which is at the root of a heap, by a better one."""
    place, length = 0, len(top_scores)
    while True:
        child = 2 * place + 1
        if child >= length:
            break
        other = child + 1
        if other < length and precedes(top_scores[child], top_items[child], top_scores[other], top_items[other]):
            child = other
        if precedes(top_scores[child], top_items[child], score, item):
            break
        top_scores[place], top_items[place] = top_scores[child], top_items[child]
        place = child
    top_scores[place], top_items[place] = score, item


@compiled
def start_top(
    starts: np.ndarray, items: np.ndarray, values: np.ndarray, top_items: np.ndarray, top_scores: np.ndarray
) -> None:
    """Begin the best items of each query with its best positives: as heaps, the worst at the root.

    What the k-th best positive has is a bar that few negatives reach, if the encoder is any good.
    """
    kept = top_scores.shape[1]
    for query in range(len(starts) - 1):
        start = starts[query]
        for place in range(min(kept, starts[query + 1] - start)):  # from the worst to the best is a heap
            top_items[query, kept - 1 - place] = items[start + place]
            top_scores[query, kept - 1 - place] = values[start + place]


@compiled
def least_of_top(scores: np.ndarray, kept: int) -> np.float32:
    """Return a score that at least ``kept`` of the scores reach: that many groups of them have one that does."""
    # A heap with the worst at the root, as everywhere here; NumPy's partition would take six seconds to compile.
    highest, found = np.full(kept, -np.inf, np.float32), np.full(kept, -1, np.int64)
    for group in range(len(scores) // GROUP):
        best = scores[group * GROUP]
        for column in range(group * GROUP + 1, (group + 1) * GROUP):
            best = scores[column] if scores[column] > best else best
        if best > highest[0]:
            push(highest, found, best, group)
    return np.float32(highest[0])


@compiled
def reaches(scores: np.ndarray, bar: np.float32) -> bool:
    """Return whether a score reaches the bar."""
    reached = np.int32(0)
    for column in range(len(scores)):
        reached |= np.int32(scores[column] >= bar)
    return bool(reached)


@compiled
def choose(
    row: np.ndarray, first: int, floor: np.float32, top_items: np.ndarray, top_scores: np.ndarray, keys: np.ndarray
) -> None:
    """Find the best of the items so far and of those in a row that reach a floor, as enough of them do.

    Fewer steps than to push them one by one. ``keys`` has room for all of them.
    """
    bits, top_bits = row.view(np.uint32), top_scores.view(np.uint32)
    count = 0
    for place in range(len(top_items)):
        if top_items[place] >= 0:
            keys[count] = ranked_key(top_bits[place], top_items[place])
            count += 1
    for group in range(0, len(row), GROUP):
        if reaches(row[group : group + GROUP], floor):
            for column in range(group, min(group + GROUP, len(row))):
                if row[column] >= floor:
                    keys[count] = ranked_key(bits[column], first + column)
                    count += 1
    best = np.sort(keys[:count])
    kept = len(top_items)
    for rank in range(kept):  # from the worst to the best is a heap
        from_key(best[rank], kept - 1 - rank, top_items, top_bits)


@compiled
def ranked_key(bits: np.uint32, item: int) -> np.uint64:
    """Return a key in whose order items rank: by score, then by index."""
    return (descending(bits) << np.uint64(32)) | np.uint64(item)


@compiled
def from_key(key: np.uint64, place: int, items: np.ndarray, bits: np.ndarray) -> None:
    """Write the item and the bits of the score of a key to their place."""
    ordered = np.uint32(key >> np.uint64(32))
    negative = ordered & np.uint32(0x80000000)
    bits[place] = ordered if negative else np.uint32(0x7FFFFFFF) - ordered
    items[place] = np.int64(key & np.uint64(0xFFFFFFFF))


@compiled
def keys_of_top(top_items: np.ndarray, top_scores: np.ndarray) -> np.ndarray:
    """Return a key for each of the best items; the last of all keys past the end of a ranking."""
    keys = np.full((len(top_items), top_items.shape[1]), np.uint64(0xFFFFFFFFFFFFFFFF))
    for query in range(len(keys)):
        bits = top_scores[query].view(np.uint32)
        for place in range(keys.shape[1]):
            if top_items[query, place] >= 0:
                keys[query, place] = ranked_key(bits[place], top_items[query, place])
    return keys


@compiled
def top_of_keys(keys: np.ndarray, top_items: np.ndarray, top_scores: np.ndarray) -> None:
    """Undo :func:`keys_of_top`, for items and scores that are -1 and NaN past the end."""
    for query in range(len(keys)):
        bits = top_scores[query].view(np.uint32)
        for place in range(keys.shape[1]):
            if keys[query, place] != np.uint64(0xFFFFFFFFFFFFFFFF):
                from_key(keys[query, place], place, top_items[query], bits)


@compiled
def intervals(scores: np.ndarray, best: np.float32, scale: np.float32, bar: np.float32, places: np.ndarray) -> bool:
    """Write the interval of each score to ``places``: 0 above the best positive, INTERVALS + 1 below the worst.

    Return whether a score reaches the bar.
    """
    reached = np.int32(0)
    for column in range(len(scores)):
        score = scores[column]
        place = (best - score) * scale + np.float32(1)
        place = place if place > np.float32(0) else np.float32(0)
        place = place if place < np.float32(INTERVALS + 1) else np.float32(INTERVALS + 1)
        places[column] = np.int32(place)
        reached |= np.int32(score >= bar)
    return bool(reached)


@compiled
def count(
    scores: np.ndarray,
    first: int,
    starts: np.ndarray,
    positives: np.ndarray,
    values: np.ndarray,
    before: np.ndarray,
    above: np.ndarray,
    level: np.ndarray,
    top_items: np.ndarray,
    top_scores: np.ndarray,
) -> None:
    """Add the columns of ``scores`` to the counts of the negatives around each positive, and to the top.

    Args:
        scores: float32, one row per query; columns are items from ``first`` on; minus infinity is left out. Those of
            the positives are minus infinity afterwards.
        first: the item of the first column.
        starts: int64, where the positives of each query start in the next arguments.
        positives: items, in the order of the ranking.
        values: their scores.
        before: int64, ``starts[q] + q + j``: negatives that stand between the positives j - 1 and j of query q.
        above: what to add to it where ties are broken for the query.
        level: what to add to it where ties are broken against it.
        top_items: the best items so far as heaps, the worst at the root; see :func:`start_top`.
        top_scores: their scores.
    """
    table = np.empty(INTERVALS + 2 + SPILL, np.uint32)  # see fill
    places = np.empty(STRETCH, np.int32)
    # Indices without a sign need no test for negative ones.
    places_unsigned = places.view(np.uint32)
    open_columns = np.empty(STRETCH, np.int32)
    higher = np.empty(FEW, np.int32)
    keys = np.empty(scores.shape[1] + top_scores.shape[1], np.uint64)
    kept, columns = top_scores.shape[1], scores.shape[1]
    for query in range(len(starts) - 1):
        start, stop = starts[query], starts[query + 1]
        hits = stop - start
        row = scores[query]
        ordered, names = values[start:stop], positives[start:stop]
        negatives = before[start + query : stop + query + 1]
        fewer = above[start + query : stop + query + 1]
        more = level[start + query : stop + query + 1]
        best, scale = np.float32(0), np.float32(0)
        if hits:
            best = ordered[0]
            width = best - ordered[hits - 1]
            # With positives all alike, whatever is not like them is in the first interval or the last.
            scale = np.float32(INTERVALS - 1) / width if width > np.float32(1e-25) else np.float32(1e28)
        fill(table, ordered, best, scale)
        for item in names:  # from here on only negatives count
            if first <= item < first + columns:
                row[item - first] = -np.inf
        floor = np.float32(-np.inf)
        bar = top_scores[query, 0] if kept else np.float32(np.inf)
        if bar == floor and columns >= 2 * GROUP * kept:
            floor = least_of_top(row, kept)
        chosen = floor > np.float32(-np.inf)
        if chosen:
            choose(row, first, floor, top_items[query], top_scores[query], keys)
            bar = top_scores[query, 0]
        for begin in range(0, columns, STRETCH):
            stretch = row[begin : begin + STRETCH]
            reached = intervals(stretch, best, scale, bar, places) if hits > FEW else reaches(stretch, bar)
            for group in range(0, len(stretch), GROUP) if reached and kept and not chosen else range(0):
                if not reaches(stretch[group : group + GROUP], bar):
                    continue
                for column in range(group, min(group + GROUP, len(stretch))):
                    score, item = stretch[column], first + begin + column
                    if score >= bar and precedes(score, item, top_scores[query, 0], top_items[query, 0]):
                        push(top_scores[query], top_items[query], score, item)
                        bar = max(floor, top_scores[query, 0])
            if hits <= FEW:
                if hits == 0 or compared(stretch, ordered, negatives, higher):
                    continue
                intervals(stretch, best, scale, bar, places)
            unsettled = np.uint32(0)
            for column in range(len(stretch)):
                entry = table[places_unsigned[column]]
                negatives[entry >> np.uint32(1)] += 1
                open_columns[unsettled] = column
                unsettled += entry & np.uint32(1)
            for pending in range(unsettled):
                column = open_columns[pending]
                score, low = stretch[column], np.int64(table[places[column]] >> np.uint32(1))
                after = low + (ordered[low] > score)
                negatives[low] -= 1
                if ordered[low] != score and (after == hits or ordered[after] < score):
                    negatives[after] += 1  # at most one positive of the interval is before it, as is usual
                else:
                    settle(score, first + begin + column, int(low), ordered, names, negatives, fewer, more)


@compiled
def compared(scores: np.ndarray, ordered: np.ndarray, negatives: np.ndarray, higher: np.ndarray) -> bool:
    """Count the scores before each of a few positives; False, and nothing counted, if one ties with a positive.

    Those behind the last positive are not counted: nothing asks for them. ``higher`` has room for a number a positive.
    """
    tied = False
    for hit in range(len(ordered)):
        value, above, level = ordered[hit], np.int32(0), np.int32(0)
        for column in range(len(scores)):
            above = np.int32(above + np.int32(scores[column] > value))
            level = np.int32(level + np.int32(scores[column] >= value))
        tied |= above != level
        higher[hit] = above
    if tied:
        return False
    for hit in range(len(ordered)):
        negatives[hit] += higher[hit] - (higher[hit - 1] if hit else 0)
    return True


@compiled
def fill(table: np.ndarray, ordered: np.ndarray, best: np.float32, scale: np.float32) -> None:
    """Write to each interval twice the number of positives in the intervals before, plus 1 if it has any itself.

    Most gaps between positives are short. So after each a fixed number of entries is written, which needs no
    decision, and the next positive writes over what was too much; behind the last interval is room for it.
    """
    places = np.empty(len(ordered), np.int32)
    intervals(ordered, best, scale, np.float32(np.inf), places)
    table[: places[0] if len(ordered) else INTERVALS + 2] = 0
    last = -1
    for hit in range(len(ordered)):
        place = places[hit]
        if place != last:
            table[place] = 2 * hit + 1
            last = place
        beyond = np.uint32(2 * hit + 2)
        for step in range(SPILL):
            table[place + 1 + step] = beyond
        end = places[hit + 1] if hit + 1 < len(ordered) else INTERVALS + 2
        if end > place + 1 + SPILL:
            table[place + 1 + SPILL : end] = beyond


@compiled
def settle(
    score: np.float32,
    item: int,
    low: int,
    ordered: np.ndarray,
    names: np.ndarray,
    negatives: np.ndarray,
    fewer: np.ndarray,
    more: np.ndarray,
) -> None:
    """Count one item whose interval has positives, of which ``low`` is the first."""
    hits = len(ordered)
    left, step = low, 1  # from `left` on scores are no higher than the item's
    while left < hits and ordered[left] > score:
        left += step
        step *= 2
    end = min(left, hits)
    left = max(left - step // 2, low) if left > low else low
    while left < end:
        middle = (left + end) // 2
        if ordered[middle] > score:
            left = middle + 1
        else:
            end = middle
    right, rank = left, left
    while right < hits and ordered[right] == score:
        if names[right] < item:
            rank = right + 1
        right += 1
    negatives[rank] += 1
    if right > left:
        fewer[right] += 1
        fewer[rank] -= 1
        more[left] += 1
        more[rank] -= 1


@compiled
def to_ranks(starts: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return the ranks of the positives from the counts of negatives between them."""
    ranks = np.empty(starts[-1], np.int64)
    for query in range(len(starts) - 1):
        negatives = 0
        for place in range(starts[query + 1] - starts[query]):
            position = starts[query] + place
            negatives += before[position + query]
            ranks[position] = place + 1 + negatives
    return ranks


@compiled
def drop_one_each(values: np.ndarray, starts: np.ndarray, dropped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lists, as values and starts, without one value each; a value that is not there drops nothing."""
    kept = np.empty(len(values), np.int64)
    new_starts = np.zeros(len(starts), np.int64)
    place = 0
    for row in range(len(dropped)):
        for position in range(starts[row], starts[row + 1]):
            kept[place] = values[position]
            place += values[position] != dropped[row]
        new_starts[row + 1] = place
    return kept[:place], new_starts


@compiled
def highest_from_here(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return for each value the highest of it and those after it in its list."""
    highest = values.copy()
    for row in range(len(starts) - 1):
        for place in range(starts[row + 1] - 2, starts[row] - 1, -1):
            highest[place] = max(highest[place], highest[place + 1])
    return highest


@compiled
def counts_up_to(values: np.ndarray, starts: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return how many values of each ascending list are at most its limit."""
    counts = np.empty(len(limits), np.int64)
    for row in range(len(limits)):
        counts[row] = np.searchsorted(values[starts[row] : starts[row + 1]], limits[row], side="right")
    return counts
