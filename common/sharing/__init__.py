"""What is given to other people: the card beside an adapter or model, and how it gets to a hub."""

from __future__ import annotations

from common.sharing.card import CARD, Place, card_of, write_card

__all__ = ["CARD", "Place", "card_of", "write_card"]
