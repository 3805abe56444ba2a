"""Data larger than memory: tables read in pieces to be packed, and packed data sets."""
