"""Proof under fire: programs that hurt a running shop, and the checker that says whether it kept its promises."""
