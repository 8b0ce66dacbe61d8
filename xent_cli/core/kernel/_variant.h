/* Everything that is compiled for a set of instructions; `_rows.c` includes this file once for each of them, with VARIANT,
   TARGET and WIDTH set. */
#include "_losses.h"
#include "_slabs.h"
#include "_convert.h"

static const Variant NAMED(functions, VARIANT) = {all_rows, exact_parts, all_of_piece, all_of_slab, convert_all, all_in_turn};
#undef VARIANT
#undef TARGET
#undef WIDTH
